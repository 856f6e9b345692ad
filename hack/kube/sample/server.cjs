// Answers with what the pod sees of its configuration. GET /healthz is for probes.
const { createServer } = require('node:http')
const { readFileSync } = require('node:fs')

const read = path => {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    return error.code
  }
}

const server = createServer((request, response) => {
  if (request.url === '/healthz') return response.end('ok')
  console.log(`GET ${request.url}`)
  response.setHeader('content-type', 'application/json')
  response.end(
    JSON.stringify({
      pod: process.env.HOSTNAME,
      user: process.getuid(),
      version: process.env.VERSION,
      config: read('/config/greeting'),
      secret: read('/secret/password'),
    }),
  )
})
server.listen(8080, () => console.log('listening'))
process.on('SIGTERM', () => server.close(() => process.exit(0)))
