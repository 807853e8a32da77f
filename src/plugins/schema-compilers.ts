import AjvCompiler from '@fastify/ajv-compiler'
import SerializerSelector from '@fastify/fast-json-stringify-compiler'

type Validate = ((data: unknown) => unknown) & { errors?: unknown }

const validatorFactory = AjvCompiler()
const serializerFactory = SerializerSelector()

/**
 * Fastify's own compilers of schemas, but that each schema is compiled when the first request needs it. There are some
 * hundred, which together are a third of the time until a new process answers, and most processes never need most of them.
 */
export const compilersFactory = {
  buildValidator(...given: Parameters<typeof validatorFactory>) {
    const compile = validatorFactory(...given)
    return (route: Parameters<typeof compile>[0]): Validate => {
      let validate: Validate | undefined
      // What was wrong is read from the function, as ajv leaves it there.
      const lazy: Validate = (data) => {
        validate ??= compile(route) as Validate
        const isValid = validate(data)
        lazy.errors = validate.errors
        return isValid
      }
      return lazy
    }
  },
  buildSerializer(...given: Parameters<typeof serializerFactory>) {
    const compile = serializerFactory(...given)
    return (route: Parameters<typeof compile>[0]) => {
      let serialize: ReturnType<typeof compile> | undefined
      return (data: unknown): string => {
        serialize ??= compile(route)
        return serialize(data)
      }
    }
  }
}
