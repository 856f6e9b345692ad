import { describe, expect, it } from 'vitest'
import { parseProxySettings, proxyFor } from './proxy.ts'

const settings = (noProxy: string) => parseProxySettings('http://proxy:3128', noProxy)!

describe('which connections go through the proxy', () => {
  const table: [name: string, noProxy: string, host: string, port: number, proxied: boolean][] = [
    ['any without exceptions', '', 'controller.example', 443, true],
    ['a name that is excepted', 'controller.example', 'controller.example', 443, false],
    ['a subdomain of one', 'example', 'controller.example', 443, false],
    ['a name that only ends alike', 'example', 'badexample', 443, true],
    ['with a leading dot', '.example', 'controller.example', 443, false],
    ['with a leading star', '*.example', 'a.controller.example', 443, false],
    ['in another case', 'Controller.Example', 'CONTROLLER.example.', 443, false],
    ['everything', '*', 'controller.example', 443, false],
    ['the port that is excepted', 'controller.example:8443', 'controller.example', 8443, false],
    ['another port', 'controller.example:8443', 'controller.example', 443, true],
    ['an address in a network', '10.0.0.0/8', '10.1.2.3', 443, false],
    ['an address outside of it', '10.0.0.0/8', '11.1.2.3', 443, true],
    ['an IPv6 address', 'fd00::/8', '[fd00::1]', 443, false],
    ['a name is in no network', '10.0.0.0/8', '10.example', 443, true],
    ['loopback, never', '', '127.0.0.1', 443, false],
    ['localhost, never', '', 'localhost', 443, false],
    ['one of several', 'a.example, b.example', 'b.example', 443, false],
  ]
  for (const [name, noProxy, host, port, proxied] of table) {
    it(name, () => {
      expect(proxyFor(settings(noProxy), host, port) !== undefined).toBe(proxied)
    })
  }

  it('reads host, port and credentials', () => {
    const proxy = parseProxySettings('https://me:p%40ss@[::1]', '')?.proxy
    expect(proxy).toMatchObject({ secure: true, host: '::1', port: 443 })
    expect(proxy?.authorization?.reveal()).toBe(`Basic ${Buffer.from('me:p@ss').toString('base64')}`)
  })

  it('refuses what is no HTTP proxy', () => {
    for (const url of ['proxy:3128', 'socks5://proxy', 'http://', 'x']) {
      expect(parseProxySettings(url, '')).toBeUndefined()
    }
  })
})
