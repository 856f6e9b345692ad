import { bold, dim } from './narrator.ts'
import type { Scene } from './scene.ts'

/** Prints what a newcomer can type while the demo stays up. */
export function printByHand(scene: Scene) {
  const web = `${scene.webHost}:${scene.web.port}`
  const lines = [
    ['reach the web service', `curl --socks5-hostname 127.0.0.1:${scene.socks} http://${web}/`],
    ['the same by HTTP CONNECT', `curl --proxytunnel -x http://127.0.0.1:${scene.http} http://${web}/`],
    [
      'the command, as this device',
      `export SALLYPORT_HOME=${scene.device.home}; alias sallyport='${scene.device.command}'`,
    ],
    ['who am I, what may I reach', 'sallyport status; sallyport resources'],
    ['why not', `sallyport why ${scene.webHost}:${scene.tcp.port}`],
    ['change who may', `$EDITOR ${scene.groupFile}`],
    ['log in in a browser of your own', `sallyport login '${scene.loginUrl}'`],
    ['look at the logs', `ls ${scene.logs}`],
  ] as const
  console.log(`\n${bold('It stays up. In another terminal:')}`)
  for (const [what, command] of lines) console.log(`  ${dim(`# ${what}`)}\n  ${command}`)
  console.log(`\n${bold('Ctrl-C ends it.')}`)
}
