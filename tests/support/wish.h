#pragma once
// The options that tests pass to generate().

#include "runtime/serve/generation.h"

namespace atlas::testing {

inline GenerateOptions wish(float temperature, uint32_t max_tokens, uint64_t seed = 7) {
    GenerateOptions options;
    options.sampler.temperature = temperature;
    options.sampler.seed = seed;
    options.max_tokens = max_tokens;
    return options;
}

}  // namespace atlas::testing
