import { discover } from '../operator-auth.ts'

const [accountDir = '', apiServer = ''] = process.argv.slice(2)
console.log(JSON.stringify(await discover(undefined, { accountDir, apiServer })))
