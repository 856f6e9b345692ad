#!/usr/bin/env node
import { buildProgram, exitOfCommander } from './program.ts'

const finish = (code: number) => {
  process.exitCode = code
}
const now = () => Math.round(performance.timeOrigin + performance.now())

process.stdout.on('error', () => process.exit())
try {
  await buildProgram(finish, now).parseAsync()
} catch (error) {
  finish(exitOfCommander(error))
}
