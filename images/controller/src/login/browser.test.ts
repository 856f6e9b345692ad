import { existsSync } from 'node:fs'
import { chromium } from 'playwright-core'
import { afterEach, describe, expect, it } from 'vitest'
import { closeLabs, startDevice, startLab } from './login-lab.ts'

const CHROMIUM = process.env.CHROMIUM_PATH ?? '/usr/bin/chromium'
const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]
const isThere = existsSync(CHROMIUM)
const mayBeMissing = process.env.CI !== 'true'

afterEach(closeLabs)

if (!isThere && mayBeMissing) console.warn(`SKIPPED: the login in a real browser; there is no ${CHROMIUM}`)

describe.skipIf(!isThere && mayBeMissing)('a person with a real browser', () => {
  it('chooses a provider, then an account, and comes back to the Client, without a violation of the page policy', async () => {
    const lab = await startLab({
      providers: () => [
        { name: 'tryout', type: 'embedded', embedded: true, accounts: [{ email: 'alice@example.com', name: 'Alice' }] },
        { name: 'corp', type: 'oidc', issuer: 'http://127.0.0.1:9', clientId: 'x', emailDomains: [] },
      ],
    })
    const device = await startDevice(lab)
    const browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS })
    try {
      const page = await browser.newPage()
      const complaints: string[] = []
      page.on('console', message => complaints.push(message.text()))
      page.on('pageerror', error => complaints.push(error.message))
      await page.goto(device.authorizeUrl())
      await page.getByRole('link', { name: 'tryout' }).click()
      await page.getByRole('alert').waitFor()
      expect(await page.getByRole('alert').textContent()).toContain('For trying out only')
      const weight = await page
        .getByRole('heading')
        .evaluate(node => node.ownerDocument.defaultView?.getComputedStyle(node).fontSize)
      expect(weight).toBe('20.8px')
      await page.getByRole('button', { name: 'alice@example.com' }).click()
      await page.waitForURL(url => url.pathname === '/callback')
      const code = device.heard.find(({ pathname }) => pathname === '/callback')?.searchParams.get('code') ?? ''
      expect(await device.trade(code)).toMatchObject({ status: 200, body: { token_type: 'DPoP' } })
      expect(complaints.filter(text => !text.includes('favicon'))).toEqual([])
    } finally {
      await browser.close()
    }
  })
})
