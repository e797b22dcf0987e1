export interface Family {
  help: string
  type: string
  samples: Sample[]
}

export interface Sample {
  name: string
  labels: Record<string, string>
  value: number
}

const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\.)*)"(?:,|$)/gy

/** Reads the text exposition format 0.0.4 as strictly as Prometheus does. @throws on a line it does not know */
export function readExposition(text: string): Map<string, Family> {
  if (!text.endsWith('\n')) throw new Error('the last line does not end')
  const families = new Map<string, Family>()
  for (const line of text.split('\n')) {
    if (line === '') continue
    if (line.startsWith('# HELP ')) {
      const [, name = '', help = ''] = /^# HELP (\S+) (.*)$/.exec(line) ?? []
      if (families.has(name)) throw new Error(`${name} is told twice`)
      families.set(name, { help, type: '', samples: [] })
    } else if (line.startsWith('# TYPE ')) {
      const [, name = '', type = ''] = /^# TYPE (\S+) (counter|gauge|histogram)$/.exec(line) ?? []
      familyOf(families, name, line).type = type
    } else {
      const sample = readSample(line)
      familyOf(families, sample.name, line).samples.push(sample)
    }
  }
  return families
}

function familyOf(families: Map<string, Family>, name: string, line: string): Family {
  const family = families.get(name) ?? families.get(name.replace(/_(bucket|sum|count)$/, ''))
  if (!family) throw new Error(`belongs to nothing: ${line}`)
  return family
}

function readSample(line: string): Sample {
  const [, name = '', inBraces = '', value = ''] = SAMPLE.exec(line) ?? []
  const number = value === '+Inf' ? Number.POSITIVE_INFINITY : Number(value)
  if (name === '' || Number.isNaN(number)) throw new Error(`no sample: ${line}`)
  const labels = [...inBraces.matchAll(LABEL)]
  if (labels.map(([whole]) => whole).join('') !== inBraces) throw new Error(`no labels: ${line}`)
  return { name, value: number, labels: Object.fromEntries(labels.map(([, key, text]) => [key, text])) }
}
