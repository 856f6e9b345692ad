import { ConfigError, configFromFile, configFromValue } from '@sallyport/runtime'
import { type ControllerConfig, ControllerConfigSchema, controllerConfigProblems } from '@sallyport/schema'

/** Reads the file that `--config` or `SALLYPORT_CONFIG` names. Throws ConfigError with all problems. */
export function readConfig(
  args: readonly string[] = process.argv.slice(2),
  environment: NodeJS.ProcessEnv = process.env,
): ControllerConfig {
  const [flag, given, ...rest] = args
  if ((flag !== undefined && flag !== '--config') || rest.length > 0)
    throw new ConfigError('arguments', [{ field: args.join(' '), message: 'is not understood, want --config FILE' }])
  const path = flag === undefined ? environment.SALLYPORT_CONFIG : given
  if (path === undefined || path === '')
    throw new ConfigError('arguments', [{ field: '--config', message: 'is missing, and SALLYPORT_CONFIG is not set' }])
  return judged(configFromFile(ControllerConfigSchema, path), path)
}

/** Checks a configuration and fills in its defaults. Throws ConfigError with all problems. */
export function configFrom(value: unknown): ControllerConfig {
  return judged(configFromValue(ControllerConfigSchema, value, 'configuration'), 'configuration')
}

function judged(config: ControllerConfig, source: string): ControllerConfig {
  const problems = controllerConfigProblems(config)
  if (problems.length > 0) throw new ConfigError(source, problems)
  return config.url === undefined ? config : { ...config, url: config.url.replace(/\/+$/, '') }
}
