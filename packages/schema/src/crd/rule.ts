/** A cross-field rule of a kind: the same sentence in CEL for the API server and as a predicate for everyone else. */
export type Rule<T> = {
  /** CEL expression over `self`, the value that the rule stands at. */
  cel: string
  /** The same rule; true when the value is acceptable. */
  check: (value: T) => boolean
  /** Says what was wanted, for the person who typed it. */
  message: string
  /** JSON pointer, below the value, of the field at fault. */
  field: string
}
