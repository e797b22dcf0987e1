import { Counter, Gauge, type Registry } from 'prom-client'

/**
 * What Prometheus expects of every process, read at the scrape. prom-client's own set measures the event loop with a
 * timer and the garbage collector with an observer for as long as the process lives.
 */
export function processMetrics(registers: Registry[]): void {
  const startedAtSeconds = Math.round(Date.now() / 1000 - process.uptime())
  gauge('process_start_time_seconds', 'When the process started, in epoch seconds.', () => startedAtSeconds)
  gauge('process_resident_memory_bytes', 'Memory the process holds.', () => process.memoryUsage.rss())
  gauge(
    'nodejs_heap_used_bytes',
    'JavaScript objects alive or not yet collected.',
    () => process.memoryUsage().heapUsed,
  )
  let countedSeconds = 0
  new Counter({
    name: 'process_cpu_seconds_total',
    help: 'Processor time the process has used.',
    registers,
    collect() {
      const { user, system } = process.cpuUsage()
      const seconds = (user + system) / 1_000_000
      this.inc(seconds - countedSeconds)
      countedSeconds = seconds
    },
  })

  function gauge(name: string, help: string, read: () => number): void {
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read())
      },
    })
  }
}
