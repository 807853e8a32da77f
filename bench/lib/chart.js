// The chart of the documentation: what each does in the time in which Keyturn does one, in panels of bars.
import { figure } from './cells.js'
import { ratio } from './report.js'

const keyturn = 'Keyturn'
const panels = [
  [
    'Logins, 32 clients',
    [keyturn, figure.login()],
    ['argon2id alone, all cores', figure.hashes],
    ['better-auth', figure.login('better-auth')],
    ['DRF with simplejwt', figure.login('DRF')]
  ],
  [
    'Refreshes, 32 clients',
    [keyturn, figure.refresh(32)],
    ['hand-written Fastify', figure.refresh(32, 'hand-written')],
    ['oidc-provider', figure.refresh(32, 'oidc-provider')],
    ['better-auth', figure.refresh(32, 'better-auth')],
    ['DRF with simplejwt', figure.refresh(32, 'DRF')]
  ],
  [
    'GET /v1/me, 32 clients',
    [keyturn, 'me, a token seen before'],
    ['Keyturn, new tokens', 'me, a new token each time'],
    ['empty Fastify route', figure.empty]
  ],
  [
    'Introspections, 32 clients',
    [keyturn, figure.introspect()],
    ['oidc-provider', figure.introspect('oidc-provider')],
    ['DRF with simplejwt', figure.introspect('DRF')]
  ]
]

const width = 760
const labelWidth = 220
const barWidth = 420
const rowHeight = 24
const headHeight = 34
const escaped = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
const rates = (figures, name) => figures[name]?.map(({ rate }) => rate)

/** The shares of a panel, Keyturn's own first; null where the rounds spread too far to tell. */
function sharesOf([, [, own], ...others], figures) {
  const mine = rates(figures, own)
  if (mine === undefined) return []
  const shares = others.flatMap(([name, other]) => {
    const theirs = rates(figures, other)
    if (theirs === undefined) return []
    const { value, tooNoisy } = ratio(theirs, mine)
    return [{ name, share: tooNoisy ? null : value }]
  })
  return [{ name: keyturn, share: 1 }, ...shares]
}

function drawPanel(title, shares, top) {
  const longest = Math.max(...shares.map(({ share }) => share ?? 0))
  const rows = shares.map(({ name, share }, row) => {
    const y = top + headHeight + row * rowHeight
    const length = share === null ? 0 : Math.max(1, (share / longest) * barWidth)
    const kind = row === 0 ? 'own' : 'other'
    const told = share === null ? 'too noisy to tell' : share.toFixed(2)
    return [
      `<text class="text" x="${labelWidth - 10}" y="${y + 13}" text-anchor="end">${escaped(name)}</text>`,
      `<rect class="${kind}" x="${labelWidth}" y="${y}" width="${length.toFixed(1)}" height="17" rx="2"/>`,
      `<text class="quiet" x="${(labelWidth + length + 8).toFixed(1)}" y="${y + 13}">${told}</text>`
    ].join('\n')
  })
  return [`<text class="head" x="${labelWidth}" y="${top + 20}">${escaped(title)}</text>`, ...rows].join('\n')
}

export function drawChart({ machine, figures }) {
  const drawn = []
  const told = []
  let top = 10
  for (const panel of panels) {
    const shares = sharesOf(panel, figures)
    if (shares.length < 2) continue
    drawn.push(drawPanel(panel[0], shares, top))
    told.push(
      `${panel[0]}: ${shares.map(({ name, share }) => `${name} ${share?.toFixed(2) ?? 'too noisy'}`).join(', ')}.`
    )
    top += headHeight + shares.length * rowHeight + 12
  }
  const height = top + 34
  const note = `Keyturn is 1. ${machine.date}, ${machine.cores} cores, medians of ${machine.rounds} rounds in one run.`
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-labelledby="title desc" font-family="system-ui, sans-serif" font-size="14">
<title id="title">How often each does it in the same time</title>
<desc id="desc">${escaped(told.join(' '))}</desc>
<style>
  .ground { fill: #ffffff; }
  .text { fill: #1a1d21; }
  .head { fill: #1a1d21; font-weight: 600; }
  .quiet { fill: #5b6570; font-size: 13px; }
  .own { fill: #0b5cad; }
  .other { fill: #9fb3c4; }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #14171a; }
    .text, .head { fill: #e8eaed; }
    .quiet { fill: #a3adb8; }
    .own { fill: #5aa7ee; }
    .other { fill: #5b6c7b; }
  }
</style>
<rect class="ground" width="${width}" height="${height}"/>
${drawn.join('\n')}
<text class="quiet" x="20" y="${height - 14}">${escaped(note)}</text>
</svg>
`
}
