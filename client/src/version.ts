/** Version of the Client; a daemon of another one is replaced. */
export const VERSION = '0.1.0'
