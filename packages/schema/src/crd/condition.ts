import type { Kind } from './kind.ts'

/** Conditions of each kind beside Ready, in the order in which they are judged: the first that is False gives Ready its reason. */
export const CONDITIONS = {
  RemoteNetwork: ['Accepted', 'Available', 'Progressing'],
  Connector: ['Accepted', 'Enrolled', 'Registered', 'ControllerConnected', 'EnrolmentConflict'],
  Resource: ['Accepted', 'ResolvedRefs', 'Programmed'],
  Group: ['Accepted', 'Programmed'],
  Relay: ['Accepted', 'Available', 'Progressing'],
} as const satisfies Record<Kind, readonly string[]>
export type ConditionType = 'Ready' | (typeof CONDITIONS)[Kind][number]

/** What each condition says when it is True. */
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
  Progressing: 'What was asked for is still being brought about.',
}

/** Reasons of conditions: what each means, and what there is to do about it. */
export const REASONS = {
  Ready: { meaning: 'Everything holds.', action: '' },
  Accepted: { meaning: 'It may say what it says.', action: '' },
  Invalid: {
    meaning:
      'A field is missing or wrong; the message names it. The API server refuses such an object, so this is seen with files only.',
    action: 'Correct the field.',
  },
  NamespaceNotManaged: {
    meaning: 'The operator does not run Connectors and Relays in this namespace.',
    action: "Add the namespace to the operator's managed namespaces, or move the object.",
  },
  NamespaceNotAllowed: {
    meaning: "The RemoteNetwork's allowedNamespaces do not admit the namespace.",
    action: 'Ask the owner of the RemoteNetwork for an entry in allowedNamespaces.',
  },
  AddressNotAllowed: {
    meaning: 'The namespace is admitted, but not for this address or alias.',
    action: 'Ask the owner of the RemoteNetwork to list it in allowedNamespaces, or choose another.',
  },
  NameTaken: {
    meaning: 'An older Resource of the network has the same exact name or alias.',
    action: 'Choose another name, or delete the older Resource that the message names.',
  },
  Resolved: { meaning: 'Every object that it names exists.', action: '' },
  RemoteNetworkNotFound: {
    meaning: 'The RemoteNetwork that it names does not exist, or is not accepted.',
    action: 'Create it, or correct remoteNetworkRef.',
  },
  GroupNotFound: {
    meaning: 'A Group in access does not exist; the others have access.',
    action: 'Create the Group, or correct access.',
  },
  Programmed: { meaning: 'The Connectors have acknowledged it.', action: '' },
  Unused: { meaning: 'No Resource names the Group, so there is nothing to bring to a Connector.', action: '' },
  Pending: {
    meaning: 'The Controller has it; Connectors have yet to acknowledge it.',
    action: 'Wait; when it lasts, look at the Connectors of the network.',
  },
  NoConnector: {
    meaning: 'No Connector of the network was connected when it changed.',
    action: "Look at the network's Connector objects.",
  },
  ControllerUnavailable: {
    meaning: 'The operator cannot reach the Controller.',
    action: "Look at the Controller's pods, and at the operator's log for the reason.",
  },
  Refused: {
    meaning: 'The Controller or the API server refused what the operator wrote; the message says why.',
    action: 'Do what the message says.',
  },
  Enrolled: { meaning: 'A Connector has bound its key to this slot.', action: '' },
  NotEnrolled: {
    meaning: 'No Connector has enrolled yet.',
    action: 'Managed: look at its pod. External: start a Connector with the Secret of the same name.',
  },
  Registered: { meaning: 'The Connector is registered at a Relay.', action: '' },
  NotRegistered: {
    meaning: 'The Connector is at no Relay, so no Client can reach it.',
    action: 'See whether the Relays run and whether the Connector can dial their addresses.',
  },
  Connected: { meaning: 'The Connector has contact with the Controller.', action: '' },
  Disconnected: {
    meaning: 'The Connector has no contact with the Controller; what is open goes on until its ACL ends.',
    action: 'See whether the Connector runs and can dial the Controller.',
  },
  SlotOccupied: {
    meaning: 'Someone with the current enrolment token was refused, because the Connector lives.',
    action: 'If it was not a second copy started by mistake, find out who can read the Secret.',
  },
  NoConflict: { meaning: 'Nobody else tries to enrol.', action: '' },
  ConnectorsReady: { meaning: 'At least one Connector is ready.', action: '' },
  NoConnectorReady: {
    meaning: 'None of the Connectors of the network is ready.',
    action: 'Look at the Connector objects.',
  },
  RelaysReady: { meaning: 'A Connector is registered at a replica at least.', action: '' },
  NoRegistration: {
    meaning: 'No Connector is registered at any replica.',
    action: 'See whether the Relay runs, can be dialled at its address, and whether there is a Connector.',
  },
  AddressPending: {
    meaning: 'The Service has no address yet.',
    action: 'Wait for the load balancer, or choose another way in spec.address.',
  },
  RollingOut: {
    meaning: 'A change reaches the Deployments one after the other; the message names the one that is waited for.',
    action: 'Wait; when it lasts, look at the pod of the Deployment that the message names.',
  },
  RolloutStuck: {
    meaning: 'The Deployment that the message names does not become ready, so the others keep the pods that they have.',
    action:
      'Look at its pod (kubectl describe), and correct image or podTemplate: it is the first to get the correction.',
  },
  Working: { meaning: 'Not everything that was asked for is there yet.', action: 'Wait.' },
  Settled: { meaning: 'What was asked for is there.', action: '' },
} as const
export type Reason = keyof typeof REASONS
