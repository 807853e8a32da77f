import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'
import type { Test } from 'tap'
import type { AuthClient, AuthClientOptions, AuthEvent } from '../../packages/client/src/index.js'
import { type BrowserWorld, browserWorld } from './browser-world.js'
import type { Change } from './world.js'

const places = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']
const executablePath = places.find((place) => place !== undefined && existsSync(place))

/** For the options of tests that need a real browser. */
export const needsChromium =
  executablePath === undefined ? { skip: 'there is no Chromium here: sh scripts/test-deps.sh installs it' } : {}

declare global {
  // What the pages of the tests have.
  interface Window {
    auth: AuthClient
    events: AuthEvent[]
    /** What the page's clock is ahead of the machine's, in milliseconds. */
    ahead: number
    renders: number
    isOneClient: boolean
  }
  const auth: AuthClient
  const events: AuthEvent[]
}

type PageOptions = Pick<AuthClientOptions, 'refreshAhead' | 'requestTimeoutMs' | 'tabSync'> & {
  readonly ahead?: number
  readonly dpop?: boolean
  /** The page waits for a call of `ready()`. */
  readonly lazy?: boolean
}

/** What a bundler makes of a page's module. */
async function bundle(name: string): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL(`../browser/pages/${name}.ts`, import.meta.url))],
    bundle: true,
    write: false,
    format: 'esm',
    target: 'es2022',
    define: { 'process.env.NODE_ENV': '"development"' }
  })
  return outputFiles[0]!.text
}

const html = (name: string) => `<!doctype html><meta charset="utf-8"><title>${name}</title><div id="root"></div>
<script type="module" src="/${name}.js"></script><a href="/elsewhere">elsewhere</a>`

export interface Chromium extends BrowserWorld {
  readonly context: BrowserContext
  /** A tab with a client. */
  tab(options?: PageOptions): Promise<Page>
  /** Every sign-out that tabs were told of, of those that are open. */
  signOuts(): Promise<string[]>
  /** Serves a page of `pages` at /name. */
  serve(name: string): Promise<void>
}

/** A real browser, closed with the test. */
export async function startChromium(t: Test): Promise<Browser> {
  const browser = await chromium.launch({
    executablePath: executablePath!,
    args: ['--no-sandbox'],
    // Playwright switches it off; people's browsers have it.
    ignoreDefaultArgs: ['--disable-back-forward-cache']
  })
  t.teardown(() => browser.close())
  return browser
}

/** A real browser in front of the real service. */
export async function chromiumWorld(t: Test, change?: Change): Promise<Chromium> {
  const w = await browserWorld(t, change)
  const browser = await startChromium(t)
  const context = await browser.newContext()
  const serve: Chromium['serve'] = async (name) => {
    w.front.files.set(`/${name}`, { type: 'text/html', body: html(name) })
    w.front.files.set(`/${name}.js`, { type: 'text/javascript', body: await bundle(name) })
  }
  await serve('tab')
  w.front.files.set('/elsewhere', { type: 'text/html', body: '<!doctype html><title>elsewhere</title>' })
  return {
    ...w,
    context,
    serve,
    async tab(options = {}) {
      const page = await context.newPage()
      await page.goto(`${w.front.url}/tab#${encodeURIComponent(JSON.stringify(options))}`)
      await page.waitForFunction(() => window.auth !== undefined)
      if (!options.lazy) await page.evaluate(() => auth.ready())
      return page
    },
    async signOuts() {
      const told = await Promise.all(
        context
          .pages()
          .map((page) =>
            page.evaluate(() =>
              (window.events ?? []).flatMap((event) => (event.type === 'signed_out' ? [event.reason as string] : []))
            )
          )
      )
      return told.flat()
    }
  }
}

export const status = (page: Page): Promise<string> => page.evaluate(() => auth.state.status)

export const becomes = (page: Page, wanted: string) =>
  page.waitForFunction((expected) => auth.state.status === expected, wanted, { timeout: 15_000 })

export function login(page: Page, username: string, password: string) {
  return page.evaluate((credentials) => auth.login(credentials), { username, password })
}

/** The next access token of a tab, in short; null where nobody is signed in. */
export const refresh = (page: Page): Promise<string | null> =>
  page.evaluate(async () => (await auth.getAccessToken({ forceRefresh: true }))?.slice(-16) ?? null)
