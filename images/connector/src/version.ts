import manifest from '../package.json' with { type: 'json' }

/** Version of the Connector. */
export const VERSION: string = manifest.version
