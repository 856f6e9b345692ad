import type { Kind } from './kind.ts'

/** Conditions of each kind beside Ready, in the order in which they are judged: the first that is False gives Ready its reason. */
export const CONDITIONS = {
  RemoteNetwork: ['Accepted', 'Available', 'Progressing'],
  Connector: ['Accepted', 'Enrolled', 'Registered', 'ControllerConnected', 'EnrolmentConflict', 'Progressing'],
  Resource: ['Accepted', 'ResolvedRefs', 'Programmed'],
  Group: ['Accepted', 'Programmed'],
  Relay: ['Accepted', 'Available', 'Progressing'],
} as const satisfies Record<Kind, readonly string[]>
export type ConditionType = 'Ready' | (typeof CONDITIONS)[Kind][number]

/** What each condition says when it is True. Ready repeats the reason of the first that is not. */
export const CONDITION_MEANINGS: Record<ConditionType, string> = {
  Ready: 'All that is needed for the object to do its work is there.',
  Accepted: 'The object is valid and may say what it says where it stands.',
  ResolvedRefs: 'Every object that it names exists.',
  Programmed: 'The Connectors that were connected when it changed have acknowledged this generation.',
  Enrolled: 'A Connector has bound its key to this slot.',
  Registered: 'The Connector is registered at a Relay.',
  ControllerConnected: 'The Connector has contact with the Controller.',
  EnrolmentConflict: 'Someone tried to enrol into this slot while its Connector lives.',
  Available: 'At least one Connector (for a Relay: one replica) serves.',
  Progressing: 'What was asked for is still being brought about. False when it is there, or when it is stuck.',
}
