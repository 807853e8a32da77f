import { randomBytes } from 'node:crypto'
import fp from 'fastify-plugin'
import * as sealedValues from '../storage/sealed-values.js'
import * as signingKeys from '../storage/signing-keys.js'

/** How many sealed values there are, by who can open them. */
export interface SealSurvey {
  /** Sealed under the present master key. */
  readonly current: number
  /** Sealed under one of AUTH_MASTER_KEY_PREVIOUS. */
  readonly previous: number
  /** What no master key opens, as `table/key of the row`. */
  readonly lost: readonly string[]
}

export interface SealedValues {
  /**
   * From which the keys follow that Django clients ask for again. It followed from the master key once; since it is
   * kept, it stays what it was when the master key changes.
   */
  readonly authtokenSecret: Buffer
  /** Shuffles the places of sessions in the status lists: what tokens say of them must not change with the master key. */
  readonly statusListSecret: Buffer
  survey(): Promise<SealSurvey>
  /** Seals everything under the present master key, in one transaction; how many values were not, and what is left. */
  reseal(): Promise<SealSurvey & { readonly resealed: number }>
}

declare module 'fastify' {
  interface FastifyInstance {
    readonly sealedValues: SealedValues
  }
}

export const sealedValuesPlugin = fp(
  async (app) => {
    const { db, vault } = app

    function opened({ sealed, context }: sealedValues.SealedValue): Buffer | undefined {
      try {
        return vault.open(sealed, context)
      } catch {
        return undefined
      }
    }

    const nameOf = ({ place, context }: sealedValues.SealedValue) => `${place.table}/${context}`

    function surveyOf(values: readonly sealedValues.SealedValue[]): SealSurvey {
      const lost = values.filter((value) => opened(value) === undefined)
      const current = values.filter((value) => !lost.includes(value) && vault.isCurrent(value.sealed)).length
      return { current, previous: values.length - current - lost.length, lost: lost.map(nameOf) }
    }

    // An installation of before has authtokens of the master key that it began with.
    const first = await sealedValues.oldest(db)
    const sealed = await sealedValues.secret(db, 'authtoken', () =>
      vault.seal(vault.authtokenSecretOf(first), 'authtoken')
    )

    const places = await sealedValues.secret(db, 'status_list', () => vault.seal(randomBytes(32), 'status_list'))

    app.decorate('sealedValues', {
      authtokenSecret: vault.open(sealed, 'authtoken'),
      statusListSecret: vault.open(places, 'status_list'),
      survey: async () => surveyOf(await sealedValues.list(db)),
      async reseal() {
        return await db.transaction().execute(async (trx) => {
          await signingKeys.lock(trx)
          let resealed = 0
          for (const value of await sealedValues.list(trx)) {
            const plain = vault.isCurrent(value.sealed) ? undefined : opened(value)
            if (plain === undefined) continue
            await sealedValues.replace(trx, value, vault.seal(plain, value.context))
            resealed += 1
          }
          return { resealed, ...surveyOf(await sealedValues.list(trx)) }
        })
      }
    } satisfies SealedValues)
  },
  { name: 'sealed-values', dependencies: ['database', 'vault'], fastify: '5.x' }
)
