#pragma once
// A bench result for people (Markdown), spreadsheets (CSV) and programs (JSON).

#include <nlohmann/json.hpp>
#include <string>

#include "bench/model_bench.h"

namespace atlas::bench {

std::string markdown(const BenchResult& result);
/// One line per measurement: kind, n_tokens or width, depth, unit, median, spread, samples.
std::string csv(const BenchResult& result);
/// device, driver, model, quantization, kv_type, context, commit, limits; prefill and decode as lists of {n_tokens,
/// depth, tokens_per_s, samples}, verify and batch as lists of {columns, ms, ...}, kernels as a list of {name,
/// gb_per_s, tflop_per_s, share_of_limit}. tokens_per_s and ms are medians.
nlohmann::ordered_json to_json(const BenchResult& result);

/// The commit that this program was built from; ends in "-dirty" if files had changed since it.
std::string built_from_commit();

}  // namespace atlas::bench
