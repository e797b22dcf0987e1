import { describe, expect, test } from 'vitest'
import { pageText, UnreadablePage } from '#desiagent/tools/page-text.ts'

const URL_OF_PAGE = 'https://example.org/docs/page'

describe('HTML becomes text that a model can read', () => {
  test('headings, paragraphs, lists and quotes', () => {
    const { title, text } = readHtml(`<!doctype html><html><head><title> A &amp; B\n</title></head><body>
      <h1>One</h1><p>Hello   <b>wor</b>ld,<br>again.</p>
      <ul><li>red<li>green <ol start="3"><li>dark<li>light</ol></ul>
      <blockquote><p>said</p></blockquote><hr><h3>Three</h3>end</body></html>`)

    expect(title).toBe('A & B')
    expect(text).toBe(
      [
        '# One',
        'Hello world,\nagain.',
        '- red\n- green\n  3. dark\n  4. light',
        '> said',
        '---',
        '### Three',
        'end',
      ].join('\n\n'),
    )
  })

  test('links are absolute, and those that lead nowhere are plain text', () => {
    const { text } = readHtml(
      '<p><a href="/a">root</a> <A HREF="b?c=1">near</A> <a href="//cdn.test/x"><h2>card</h2><p>more</p></a>' +
        ' <a href="#top">top</a> <a href="javascript:alert(1)">run</a> <a href="/i"><img alt="icon"></a><a href="/e"></a>',
    )
    expect(text).toContain('[root](https://example.org/a) [near](https://example.org/docs/b?c=1)')
    expect(text).toContain('[card more](https://cdn.test/x)')
    expect(text).toContain('top run [icon](https://example.org/i)')
    expect(text).not.toContain('alert')
  })

  test('<base href> counts', () => {
    const { text } = readHtml('<head><base href="/other/"></head><body><a href="x">x</a></body>')
    expect(text).toBe('[x](https://example.org/other/x)')
  })

  test('code keeps its lines', () => {
    const { text } = readHtml('<p>Run <code>npm  ci</code>:</p><pre>\nif (a &lt; b) {\n  <b>go</b>()<br>}\n</pre>')
    expect(text).toBe('Run `npm ci`:\n\n```\nif (a < b) {\n  go()\n}\n```')
  })

  test('tables become rows, and layout tables do not', () => {
    const data = '<table><tr><th>Name<th>Age<tr><td><p>Ada</p><td><a href="/36">36</a></table>'
    expect(readHtml(data).text).toBe('| Name | Age |\n| --- | --- |\n| Ada | [36](https://example.org/36) |')
    expect(readHtml(`<table><tr><td><h2>Left</h2></td><td>${data}</td></tr></table>`).text).toMatch(
      /^## Left\n\n?\| Name/,
    )
  })

  test('nothing invisible is read, and no script runs', () => {
    const { text } = readHtml(`<body onload="globalThis.wasRun = true">seen
      <script>globalThis.wasRun = true; document.write('written')</script><style>p { color: red }</style>
      <noscript>no</noscript><template>no</template><p hidden>no</p><p aria-hidden="true">no</p>
      <p style="display: none">no</p><input value="no"><!-- no --></body>`)
    expect(text).toBe('seen')
    expect(globalThis).not.toHaveProperty('wasRun')
  })

  test('an article is read without what surrounds it', () => {
    const { title, text } = readHtml(articlePage(`<h2>Why</h2>${paragraphs(12)}<ul><li>point</li></ul>`))
    expect(title).toBe('A long story about the sea')
    expect(text).toContain('## Why')
    expect(text).toContain('[the harbour](https://example.org/harbour)')
    expect(text).toContain('- point')
    expect(text).not.toMatch(/Home|Imprint|tracking/)
  })

  test('a page that is no article is read whole, with its links', () => {
    const items = Array.from({ length: 30 }, (_, i) => `<li><a href="/item/${i}">Item ${i}</a></li>`).join('')
    const { text } = readHtml(`<html><body><nav><a href="/">Home</a></nav><ul>${items}</ul></body></html>`)
    expect(text).toContain('[Home](https://example.org/)')
    expect(text).toContain('- [Item 29](https://example.org/item/29)')
  })

  test.each([
    ['without <html>', '<title>T</title><p>x'],
    ['without <head> tags', '<!doctype html><html><title>T</title><body><p>x</p></body></html>'],
    ['with text after the end', '<html><head><title>T</title></head><body></body></html><p>x'],
  ])('a page %s', (_title, html) => {
    expect(readHtml(html)).toEqual({ title: 'T', text: 'x' })
  })

  test('an empty page is empty', () => {
    expect(readHtml('')).toEqual({ title: null, text: '' })
  })
})

describe('bytes become characters', () => {
  const cafe = [0x3c, 0x70, 0x3e, 0x63, 0x61, 0x66, 0xe9] // <p>café in latin-1

  test('the header says how', () => {
    expect(read(Uint8Array.from(cafe), 'text/html; charset="ISO-8859-1"').text).toBe('café')
  })

  test('the page says how', () => {
    const meta = new TextEncoder().encode('<meta charset=windows-1252>')
    expect(read(Uint8Array.from([...meta, ...cafe]), 'text/html').text).toBe('café')
    const old = new TextEncoder().encode('<meta http-equiv="Content-Type" content="text/html; charset=shift_jis">')
    expect(read(Uint8Array.from([...old, 0x93, 0xfa, 0x96, 0x7b]), 'text/html').text).toBe('日本')
  })

  test('the byte order mark wins', () => {
    const utf16 = Uint8Array.from([0xff, 0xfe, 0x68, 0, 0x69, 0])
    expect(read(utf16, 'text/plain; charset=utf-8').text).toBe('hi')
  })

  test('an unknown charset or a cut character does not fail', () => {
    expect(read(new TextEncoder().encode('héllo'), 'text/plain; charset=klingon').text).toBe('héllo')
    expect(read(new TextEncoder().encode('hé').subarray(0, 2), 'text/plain').text).toBe('h\ufffd')
  })
})

describe('other content', () => {
  test.each(['text/plain', 'text/markdown; charset=utf-8', 'application/json', 'application/ld+json', 'text/csv'])(
    '%s stays as it is',
    (contentType) => {
      const text = '{ "a":  "<b>" }\n'
      expect(read(new TextEncoder().encode(text), contentType)).toEqual({ title: null, text })
    },
  )

  test.each(['application/pdf', 'image/png', 'application/octet-stream', 'video/mp4'])('%s is unreadable', (type) => {
    const reading = () => read(Uint8Array.from([0, 1, 2]), type)
    expect(reading).toThrow(UnreadablePage)
    expect(reading).toThrow(`This page is ${type}; only HTML and other text can be read.`)
  })

  test('without a content type, the first bytes decide', () => {
    expect(read(new TextEncoder().encode('\n<!DOCTYPE html><title>T</title><p>x'), '')).toEqual({
      title: 'T',
      text: 'x',
    })
    expect(read(new TextEncoder().encode('just text'), '').text).toBe('just text')
    expect(() => read(Uint8Array.from([0x89, 0x50, 0, 0]), '')).toThrow(UnreadablePage)
  })
})

describe('a hostile page costs little and breaks nothing', () => {
  const inFront = paragraphs(20)

  test.each([
    ['100,000 nested elements', `${'<div>'.repeat(100_000)}found`],
    ['nesting behind false closing tags', `${'<b><!--</b>-->'.repeat(100_000)}found`],
    ['deep lists', `${'<ul><li>'.repeat(2_000)}found`],
    ['closing tags that match nothing', `found${'<b>'.repeat(15_000)}${'</x>'.repeat(300_000)}`],
    ['100,000 attributes', `${inFront}<div ${numbered(100_000)}><div>${inFront}found</div></div>`],
    ['900,000 class names', `${inFront}<div class="${'a '.repeat(900_000)}">${inFront}found</div>`],
    ['nothing but <', `found${'<'.repeat(2_000_000)}`],
    ['nothing but entities', `found${'&lt;x '.repeat(400_000)}`],
    ['white space', `found${' '.repeat(2_000_000)}x`],
    ['comments that never end', `found${'<!--'.repeat(500_000)}`],
    ['scripts that never end', `found${'<script>'.repeat(200_000)}`],
  ])('%s', (_title, html) => {
    const start = performance.now()

    const { text } = readHtml(html)

    expect(text).toContain('found')
    expect(text.length).toBeLessThanOrEqual(html.length)
    expect(performance.now() - start).toBeLessThan(3_000) // measured: under 0.5 s; before the limits: 8 s to minutes
  })

  test('tags are stripped from what is too deep, entities are read', () => {
    const { text } = readHtml(
      `<head><title>T</title></head>${'<div>'.repeat(200)}<p>a &lt; b &#233;&#x1F30D;</p><script>x</script><p>c</p>`,
    )
    expect(text).toBe('a < b é🌍\nc')
  })
})

function readHtml(html: string) {
  return read(new TextEncoder().encode(html), 'text/html; charset=utf-8')
}

function read(bytes: Uint8Array, contentType: string) {
  return pageText({ url: URL_OF_PAGE, contentType, bytes })
}

function articlePage(content: string): string {
  return `<!doctype html><html><head><title>A long story about the sea | The Daily Sea</title></head><body>
    <nav><ul><li><a href="/">Home</a></li></ul></nav><div class="cookie-banner">We like tracking.</div>
    <main><article><h1>A long story about the sea</h1>${content}</article></main>
    <footer><a href="/imprint">Imprint</a></footer></body></html>`
}

function paragraphs(count: number): string {
  const text =
    'The boats came back late, heavy, and low in the water, and nobody in the town asked what had kept them out.'
  return `<p>${text} They lay in <a href="/harbour">the harbour</a> until the morning.</p>`.repeat(count)
}

function numbered(count: number): string {
  return Array.from({ length: count }, (_, i) => `a${i}`).join(' ')
}
