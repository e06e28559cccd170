// Says whether AWS would allow requests. Standard input: {policies: [document, ...], questions: [{principal, action,
// resource, account, context, identity, resource_policy, endpoint_policy, public_access_blocked}, ...]}, where a policy
// is its place in `policies`, or null, and a principal of null is nobody. Standard output: a list of true and false.
// An action, a resource or a context key that AWS does not know is an error.
import { readFileSync } from 'node:fs'
import { anonymousPrincipal, runSimulation } from '@cloud-copilot/iam-simulate'

// The evaluator knows the parts of an encryption context by the name that AWS's list of keys has for all of them.
const CONTEXT = /kms:EncryptionContext:[\w:]+/g
const told = readFileSync(0, 'utf8')
if (new Set(told.match(CONTEXT)).size > 1) throw new Error('cannot tell two parts of an encryption context apart')
const { policies, questions } = JSON.parse(told.replaceAll(CONTEXT, 'kms:EncryptionContext:$${EncryptionContextKey}'))
const named = (place) => ({ name: `policy ${place}`, policy: policies[place] })

async function allowed(asked) {
  const simulation = {
    request: {
      principal: asked.principal ?? anonymousPrincipal,
      action: asked.action,
      resource: { resource: asked.resource, accountId: asked.account },
      contextVariables: asked.context,
    },
    identityPolicies: asked.identity.map(named),
    serviceControlPolicies: [],
    resourceControlPolicies: [],
    resourcePolicy: asked.resource_policy === null ? undefined : policies[asked.resource_policy],
    vpcEndpointPolicies: asked.endpoint_policy === null ? undefined : [named(asked.endpoint_policy)],
    additionalSettings: { s3: { blockPublicAccess: asked.public_access_blocked } },
  }
  const done = await runSimulation(simulation, {})
  const question = `${asked.action} of ${asked.resource}`
  if (done.resultType !== 'single') throw new Error(`${question}: ${JSON.stringify(done.errors ?? done.resultType)}`)
  const ignored = done.result.ignoredContextKeys
  if (ignored.length) throw new Error(`${question} has no ${ignored.join(', ')}`)
  return done.overallResult === 'Allowed'
}

const answers = []
const errors = new Set()
for (const asked of questions) answers.push(await allowed(asked).catch((error) => errors.add(error.message)))
if (errors.size) {
  console.error([...errors].join('\n'))
  process.exit(1)
}
process.stdout.write(JSON.stringify(answers))
