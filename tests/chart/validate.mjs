// Judges objects of other projects' kinds by their makers' schemas: a JSON array on standard input, one fault a line on
// standard output. A kind that is not known here is a fault.
import { pathToFileURL } from 'node:url'
import { readFileSync } from 'node:fs'

const KINDS = {
  'monitoring.coreos.com/v1': '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1',
  'gateway.networking.k8s.io/v1': '@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1',
}

// Packages are where LEVEE_CHART_NODE says, not beside this file.
const file = (models, kind) => `${process.env.LEVEE_CHART_NODE}/node_modules/${models}/${kind}.js`

for (const object of JSON.parse(readFileSync(0, 'utf8'))) {
  const name = `${object.kind}/${object.metadata?.name}`
  const models = KINDS[object.apiVersion]
  const Model = models && (await import(pathToFileURL(file(models, object.kind)).href).catch(() => ({})))[object.kind]
  if (!Model) {
    console.log(`${name}: ${object.apiVersion} has no schema here`)
    continue
  }
  try {
    new Model(object).validate()
  } catch (error) {
    console.log(`${name}: ${error.message}`)
  }
}
