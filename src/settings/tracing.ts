import { define, optional } from './setting.js'
import { list, must, oneOf, text } from './values.js'

/** Decodes `%20` and the like. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return must('percent-encoded where it has a % (W3C Baggage)')
  }
}

/** Pairs such as `a=1,b=2`. */
function pairs(text: string): Record<string, string> {
  const read = list((pair) => {
    const at = pair.indexOf('=')
    if (at < 1) must('pairs such as name=value,other=value')
    return [pair.slice(0, at).trim(), decoded(pair.slice(at + 1).trim())] as const
  })
  return Object.fromEntries(read(text))
}

function endpoint(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol)) must('an http or https URL such as http://localhost:4318')
  if (url!.search !== '' || url!.hash !== '') must('a URL without query and fragment')
  return text
}

function ratio(text: string): number {
  const value = /^\d(\.\d{1,9})?$/.test(text) ? Number(text) : Number.NaN
  return value >= 0 && value <= 1 ? value : must('a number from 0 to 1, such as 0.1')
}

/** To whom OpenTelemetry's spans are told, by the names that it has for it. */
export const tracing = {
  OTEL_EXPORTER_OTLP_ENDPOINT: optional({
    help: 'Base address of an OpenTelemetry collector (OTLP over HTTP, JSON) that gets spans at /v1/traces: docs/tracing.md. Without it nothing of it is loaded.',
    example: 'http://localhost:4318',
    parse: endpoint
  }),
  OTEL_EXPORTER_OTLP_HEADERS: define({
    help: 'Headers for the collector, as name=value,name=value, percent-encoded.',
    fallback: '',
    secret: true,
    parse: pairs
  }),
  OTEL_SERVICE_NAME: define({ help: '`service.name` of the spans.', fallback: 'keyturn', parse: text }),
  OTEL_RESOURCE_ATTRIBUTES: define({
    help: 'What else every span says of this process, as name=value,name=value.',
    fallback: '',
    example: 'deployment.environment.name=production',
    parse: pairs
  }),
  OTEL_TRACES_SAMPLER: define({
    help: 'Which traces are told; `parentbased_…` follows whoever asked, where they say. Where strangers ask, `traceidratio` bounds what they can cause.',
    fallback: 'parentbased_always_on',
    parse: oneOf(
      'always_on',
      'always_off',
      'traceidratio',
      'parentbased_always_on',
      'parentbased_always_off',
      'parentbased_traceidratio'
    )
  }),
  OTEL_TRACES_SAMPLER_ARG: define({ help: 'The part of `traceidratio`, from 0 to 1.', fallback: '1', parse: ratio })
}
