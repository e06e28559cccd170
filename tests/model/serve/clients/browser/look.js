// Opens the status page as a person does, on a phone and on a desktop; says what was seen as JSON.
import { readFileSync } from 'node:fs'
import axe from 'axe-core'
import puppeteer from 'puppeteer-core'

const [url, out] = process.argv.slice(2)
const key = readFileSync(0, 'utf8').trim()
const sizes = {
  phone: { width: 390, height: 844, deviceScaleFactor: 2, isMobile: true },
  desktop: { width: 1280, height: 900 },
}
const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM,
  args: ['--no-sandbox', '--ignore-certificate-errors', '--disable-background-networking'],
})
const seen = { requests: [], errors: [], violations: {}, wider: {} }
try {
  for (const [name, size] of Object.entries(sizes)) {
    const page = await browser.newPage()
    page.on('request', each => seen.requests.push(each.url()))
    page.on('console', each => seen.errors.push(each.text()))
    page.on('pageerror', each => seen.errors.push(String(each)))
    await page.setViewport(size)
    await page.authenticate({ username: 'anyone', password: key })
    await page.goto(url, { waitUntil: 'networkidle0' })
    await page.screenshot({ path: `${out}/${name}.png`, fullPage: true })
    seen.wider[name] = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth)
    if (name === 'desktop') {
      const renews = () => page.$('meta[http-equiv=refresh]').then(Boolean)
      seen.renews = [await renews()]
      for (const words of ['Renew this page', 'Stop that']) {
        await Promise.all([page.waitForNavigation(), page.locator(`::-p-text(${words})`).click()])
        seen.renews.push(await renews())
      }
    }
    if (name === 'desktop') await page.pdf({ path: `${out}/print.pdf`, format: 'A4' })
    await page.close()
    const checked = await browser.newPage() // with a script in it, which the page's own policy forbids
    await checked.setBypassCSP(true)
    await checked.setViewport(size)
    await checked.authenticate({ username: 'anyone', password: key })
    await checked.goto(url, { waitUntil: 'networkidle0' })
    await checked.evaluate(axe.source)
    const found = await checked.evaluate(() => window.axe.run())
    seen.violations[name] = found.violations.map(each => `${each.id}: ${each.help}: ${each.nodes[0].html}`)
    seen.passes = found.passes.length
    await checked.close()
  }
} finally {
  await browser.close()
}
console.log(JSON.stringify(seen))
