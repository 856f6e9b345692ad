/** Runs tests/cluster alone, or the files of it that the arguments name: on hack/kube's node, or with KIND=1 on kind. */
import { clusterSuite } from './cluster-suite.ts'
import { close } from './suite.ts'

close([await clusterSuite(process.env.KIND === '1' ? 'kind' : 'kube', process.argv.slice(2))])
