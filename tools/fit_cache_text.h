#pragma once
// What `fit-cache` shows a model when it is given no text: prose, a table, code and a dialogue, about 700 tokens in
// most vocabularies.

#include <string_view>

namespace atlas::tools {

inline constexpr std::string_view kFitCacheText =
    R"TEXT(The ferry left the harbour a little after six, when the lamps along the quay were still burning and the first gulls had begun to
quarrel over what the night's catch had left behind. Ada stood at the rail with both hands around a paper cup and watched the town grow
small: the white church, the two cranes, the long roof of the fish market. She had not slept. In the inside pocket of her coat she carried
a letter of three pages, which she knew by heart, and a key to a house that nobody in her family had seen for thirty years.

"You are early," said the man who sold tickets. "Most people wait for the second boat."
"Does the second boat stop at the island?"
"No," he said, and smiled. "That is why they wait for it."

## How a heat pump works

A heat pump moves heat from a cold place to a warm one. A fluid boils at low pressure and takes up heat; a compressor raises its pressure
and its temperature; then it condenses and gives the heat away. For each kilowatt hour of electricity it delivers three to four kilowatt
hours of heat, depending on the temperatures on both sides:

| outside | flow 35 C | flow 55 C |
|---------|-----------|-----------|
| -7 C    | 2.9       | 2.0       |
| 2 C     | 3.6       | 2.4       |
| 12 C    | 5.1       | 3.2       |

1. Measure how much heat the house loses on a cold day.
2. Choose the lowest flow temperature at which the radiators still warm it.
3. Only then choose the size of the pump.

```python
import json
from dataclasses import dataclass

@dataclass
class Reading:
    sensor: str
    value: float

def averages(path: str) -> dict[str, float]:
    """Mean value of every sensor in a file with one JSON object per line."""
    sums: dict[str, list[float]] = {}
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                reading = Reading(**json.loads(line))
            except (TypeError, ValueError) as error:
                raise SystemExit(f"{path}:{number}: {error}")
            sums.setdefault(reading.sensor, []).append(reading.value)
    return {name: sum(values) / len(values) for name, values in sums.items()}
```

```cpp
#include <algorithm>
#include <vector>

// The index of the first element that is not smaller than x.
size_t lower_index(const std::vector<int>& sorted, int x) {
    size_t low = 0, high = sorted.size();
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (sorted[middle] < x) low = middle + 1;
        else high = middle;
    }
    return low;
}
```

Question: A train travels 180 km in 2 hours and 15 minutes. What is its average speed?
Answer: 2 hours and 15 minutes are 2.25 hours, and 180 / 2.25 = 80, so the average speed is 80 km/h.

In 1848 the colony had 12,412 inhabitants, of whom about a third lived from the sea. The census lists carpenters, smiths, two printers and a
single physician, Dr. Elias Thorne, whose diaries are the best source for these years. He writes of storms, of the price of flour and of the
fever that came with the ships, but seldom of himself.
)TEXT";

}  // namespace atlas::tools
