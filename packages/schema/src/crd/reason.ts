import type { ConditionType } from './condition.ts'

/** `on` names the conditions that can have it; `remedy` is empty where there is nothing to do. */
type Entry = { on: readonly Exclude<ConditionType, 'Ready'>[]; meaning: string; remedy: string }

/** Reasons of conditions: what each means, and what there is to do about it. */
export const REASONS = {
  Ready: { on: [], meaning: 'Everything that it needs is there.', remedy: '' },
  Accepted: { on: ['Accepted'], meaning: 'It is valid, and may say what it says where it stands.', remedy: '' },
  Invalid: {
    on: ['Accepted'],
    meaning:
      'A field is missing or wrong; the message names it. The API server refuses nearly all such objects at once, so that this is seen with files above all.',
    remedy: 'Correct the field.',
  },
  NamespaceNotManaged: {
    on: ['Accepted'],
    meaning: 'The operator does not run Connectors and Relays in this namespace.',
    remedy: "Add the namespace to the operator's managed namespaces, or move the object.",
  },
  NamespaceNotAllowed: {
    on: ['Accepted'],
    meaning: "The RemoteNetwork's allowedNamespaces do not admit the namespace.",
    remedy: 'Ask the owner of the RemoteNetwork for an entry in allowedNamespaces.',
  },
  NamespaceLabelsUnreadable: {
    on: ['Accepted'],
    meaning:
      'allowedNamespaces asks for labels of the namespace, which an operator with rights in single namespaces only (or one that reads files) cannot read.',
    remedy: 'Ask for the label kubernetes.io/metadata.name in allowedNamespaces, or write from All.',
  },
  AddressNotAllowed: {
    on: ['Accepted'],
    meaning:
      'The namespace is admitted, but not for this address or alias. A Service of its own is allowed while it exists, has a selector and is no ExternalName.',
    remedy: 'Ask the owner of the RemoteNetwork to list it in allowedNamespaces, or choose another.',
  },
  NameTaken: {
    on: ['Accepted'],
    meaning: 'An older Resource of the network, of whatever namespace, has the same exact name or alias.',
    remedy: 'Choose another name, or delete the older Resource that the message names: then this one gets the name.',
  },
  NameReserved: {
    on: ['Accepted'],
    meaning:
      "The Relay's address names the host of the Controller, so that its certificate would speak for the Controller.",
    remedy: 'Give the Relay a host name of its own, or an IP address.',
  },
  Resolved: { on: ['ResolvedRefs'], meaning: 'Every object that it names exists.', remedy: '' },
  RemoteNetworkNotFound: {
    on: ['ResolvedRefs', 'Accepted'],
    meaning: 'The RemoteNetwork that it names does not exist, or is not accepted.',
    remedy: 'Create the RemoteNetwork, or correct remoteNetworkRef.',
  },
  GroupNotFound: {
    on: ['ResolvedRefs'],
    meaning: 'A Group in access does not exist; the others have access.',
    remedy: 'Create the Group, or correct access.',
  },
  Programmed: { on: ['Programmed'], meaning: 'The Connectors have acknowledged it.', remedy: '' },
  Unused: {
    on: ['Programmed'],
    meaning: 'No Resource names the Group, so that there is nothing to bring to a Connector.',
    remedy: '',
  },
  Pending: {
    on: ['Programmed', 'Enrolled'],
    meaning: 'It is on its way: to the Controller, or from there to the Connectors.',
    remedy: 'Wait; when it lasts, look at the Connectors of the network.',
  },
  NoConnector: {
    on: ['Programmed'],
    meaning: 'No Connector of the network was connected when it changed.',
    remedy: "Look at the network's Connector objects.",
  },
  ControllerUnavailable: {
    on: ['Programmed', 'Enrolled', 'Available'],
    meaning: 'The operator cannot reach the Controller.',
    remedy: "Look at the Controller's pods, and at the operator's log for the reason.",
  },
  Refused: {
    on: ['Programmed', 'Enrolled', 'Available', 'Progressing'],
    meaning: 'The Controller or the API server refused what the operator wrote; the message says why.',
    remedy: 'Do what the message says.',
  },
  Enrolled: { on: ['Enrolled'], meaning: 'A Connector has bound its key to this slot.', remedy: '' },
  NotEnrolled: {
    on: ['Enrolled'],
    meaning: 'No Connector has enrolled yet.',
    remedy: 'Managed: look at its pod. External: start a Connector with the Secret that the message names.',
  },
  Registered: { on: ['Registered'], meaning: 'The Connector is registered at a Relay.', remedy: '' },
  NotRegistered: {
    on: ['Registered'],
    meaning: 'The Connector is at no Relay, so that no Client can reach it.',
    remedy: 'See whether the Relays run and whether the Connector can dial their addresses.',
  },
  Connected: { on: ['ControllerConnected'], meaning: 'The Connector has contact with the Controller.', remedy: '' },
  Disconnected: {
    on: ['ControllerConnected'],
    meaning: 'The Connector has no contact with the Controller; what is open goes on until its access list ends.',
    remedy: 'See whether the Connector runs and can dial the Controller.',
  },
  SlotOccupied: {
    on: ['EnrolmentConflict'],
    meaning:
      'Someone with the current enrolment token was refused, because the Connector that has the slot lives, or was seen within the last 15 s.',
    remedy:
      'After a pod was deleted by force it passes by itself. Else, if it was not a second copy started by mistake, find out who can read the Secret.',
  },
  ConnectorsReady: { on: ['Available'], meaning: 'At least one Connector is ready.', remedy: '' },
  NoConnectorReady: {
    on: ['Available'],
    meaning: 'None of the Connectors of the network is ready.',
    remedy: 'Look at the Connector objects.',
  },
  RelaysReady: { on: ['Available'], meaning: 'A Connector is registered at a replica at least.', remedy: '' },
  NoRegistration: {
    on: ['Available'],
    meaning: 'No Connector is registered at any replica.',
    remedy: 'See whether the Relay runs, can be dialled at its address, and whether there is a Connector.',
  },
  AddressPending: {
    on: ['Available'],
    meaning: 'The Services have no address yet.',
    remedy: 'Wait for the load balancer, or choose another way in spec.address.',
  },
  CertificatePending: {
    on: ['Available'],
    meaning: 'Others issue the serving certificates, and there is none for a replica.',
    remedy: 'Have it written into the Secret that the message names, with the name that the message names.',
  },
  RollingOut: {
    on: ['Progressing'],
    meaning: 'A change reaches the Deployments one after the other; the message names the one that is waited for.',
    remedy: 'Wait; when it lasts, look at the pod of the Deployment that the message names.',
  },
  RolloutStuck: {
    on: ['Progressing'],
    meaning:
      'The Deployment that the message names has not become ready within its progress deadline (10 min), so that the others keep the pods that they have and go on serving.',
    remedy:
      'Look at its pod (kubectl describe), and correct image or podTemplate: it is the first to get the correction.',
  },
  Working: {
    on: ['Progressing'],
    meaning: 'Not everything that was asked for serves yet.',
    remedy: 'Wait; when it lasts, look at what Available says.',
  },
  Settled: { on: ['Progressing'], meaning: 'What was asked for is there.', remedy: '' },
} as const satisfies Record<string, Entry>
export type Reason = keyof typeof REASONS

/** Reasons that a condition can have. */
export type ReasonOn<T extends ConditionType> = T extends 'Ready'
  ? Reason
  : { [R in Reason]: T extends (typeof REASONS)[R]['on'][number] ? R : never }[Reason]

/** Reasons that only Events have; Events repeat those of Ready, too. `object` is what the Event is found at. */
export const EVENT_REASONS = {
  AuthorityUnusable: {
    object: 'the Secret',
    meaning:
      'The Secret with the installation CA, or the one with the certificate that others have issued for the Controller, holds no CA that can be used: no serving certificate is issued or renewed.',
    remedy: 'Replace in it what the message names; rotating-keys.md says what belongs there.',
  },
  NotExposed: {
    object: 'Service',
    meaning:
      'The annotations of the Service (sallyport.dev/expose and others) cannot be followed; what was exposed before stays as it was.',
    remedy: 'Correct what the message names.',
  },
  RemovalHeld: {
    object: "the operator's Lease",
    meaning:
      'Much of what the Controller has is no longer declared by any object: the operator waits before it removes it.',
    remedy:
      'If that is not meant, restore the objects. If it is, confirm with the annotation sallyport.dev/confirm-removal of the Lease, or wait.',
  },
  SecretRestored: {
    object: "the operator's Lease",
    meaning:
      'Someone deleted the Secret with the installation CA or the store key; the operator has written it again as it was.',
    remedy: 'None, if that was not meant. To have another CA or key, see rotating-keys.md.',
  },
  StoreKeyMissing: {
    object: 'the ConfigMap that says how to log in',
    meaning:
      "The Secret with the store key was deleted while no operator ran. Another key is not made: it could not read the Controller's database.",
    remedy:
      "Restore the Secret from a backup, or from the Controller's pod while that runs (backup-restore.md). To begin anew, delete the database and the ConfigMap that says how to log in.",
  },
} as const
export type EventReason = keyof typeof EVENT_REASONS
