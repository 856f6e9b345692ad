export { type OperatorConfig, readConfig } from './config.ts'
export { type Operator, type OperatorDeps, startOperator } from './operator.ts'
