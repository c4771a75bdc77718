/** The 1 KB session of the benchmarks: two scalars, a string, and an object of about 800 bytes that does not repeat itself. */
export interface BenchData {
  views: number
  theme: string
  locale: string
  cart: { sku: string; name: string; quantity: number; cents: number }[]
}

const NAMES = [
  'Assam tea, loose, 250 g',
  'Cast iron kettle',
  'Filter papers no. 4',
  'Oak serving tray',
  'Porcelain cup, blue rim',
  'Bamboo whisk',
  'Wild flower honey',
  'Linen napkins, set of 6',
  'Glass infuser',
  'Almond biscuits',
]

export function createBenchData(): BenchData {
  const cart = NAMES.map((name, index) => ({
    sku: `T${(index * 7919 + 104729).toString(36).toUpperCase()}`,
    name,
    quantity: (index * 3) % 5 || 1,
    cents: 199 + ((index * 733) % 2500),
  }))
  return { views: 1, theme: 'dark', locale: 'en-GB', cart }
}
