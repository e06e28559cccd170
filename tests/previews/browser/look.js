// Opens a comment as a reviewer does, on a narrow and on a wide screen; says what was seen as JSON.
import { readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import puppeteer from 'puppeteer-core'

const [body, out] = process.argv.slice(2)
const style = readFileSync(createRequire(import.meta.url).resolve('github-markdown-css/github-markdown-light.css'), 'utf8')
// The frame of a comment, as wide as GitHub has it.
const frame = 'body { margin: 0 } article { max-width: 780px; margin: auto; padding: 16px; border: 1px solid #d1d9e0; border-radius: 6px }'
const page = `${out}/comment.html`
writeFileSync(
  page,
  `<!doctype html><meta charset="utf-8"><title>A comment</title><style>${style}${frame}</style>` +
    `<article class="markdown-body" style="font-size: 14px">${readFileSync(body, 'utf8')}</article>`,
)
const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM,
  args: ['--no-sandbox', '--disable-background-networking'],
})
const seen = { requests: [], wider: {} }
try {
  for (const [name, width] of [['narrow', 390], ['wide', 844]]) {
    const shown = await browser.newPage()
    shown.on('request', each => seen.requests.push(each.url()))
    await shown.setViewport({ width, height: 800, deviceScaleFactor: name === 'narrow' ? 2 : 1 })
    await shown.goto(`file://${page}`, { waitUntil: 'networkidle0' })
    if (name === 'wide') await shown.$eval('details', each => { each.open = true })
    await shown.screenshot({ path: `${out}/${name}.png`, fullPage: true })
    seen.wider[name] = await shown.evaluate(() => document.documentElement.scrollWidth - window.innerWidth)
    await shown.close()
  }
} finally {
  await browser.close()
}
console.log(JSON.stringify(seen))
