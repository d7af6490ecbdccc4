#pragma once
// Which model, quantization, context, cache formats and draft model suit a card best: the ranking rule.
//
// 1. Only what fits: every byte counted (fit.h), within the budget, with at least the wanted context.
// 2. Quality first, in steps of half a point: the model's points for the purpose (score.h), less the cost of
//    quantization. That cost is the relative increase of perplexity measured for the recipe (weight_loss), a third of
//    it as long as it is under 3 %, all of it above; and the cache formats' (kv_cost_of). The third is a rule of thumb:
//    a larger model at 4 bits beats a smaller one at 8.
// 3. Then speed, in steps of a tenth; then context; then fewer bytes.
// Before all of these, choices that decode faster than kUsefulTokensPerS come before those that do not. Of those that
// do not, the fastest comes first, unless a model was named. Of each model only its best choice is offered. A model
// that was trained in a quantized format is offered in that format only: other files of it are larger and hold no more
// information. A draft model is added where it makes decoding 1.15 times faster at an acceptance of 60 %. Where it
// needs room, the context becomes shorter (speed ranks before context), but never shorter than the wanted one.

#include <optional>

#include "runtime/planner/cache_loss.h"
#include "runtime/planner/fit.h"
#include "runtime/planner/score.h"
#include "runtime/planner/speed.h"

namespace atlas {

/// Below this speed an answer of 300 tokens takes over 100 seconds.
inline constexpr double kUsefulTokensPerS = 3;

/// What a person asked for.
struct PlanRequest {
    Room room;  // the budget less the margin and less what must stay free
    SpeedFactors speed;
    Purpose purpose = Purpose::coding;
    const CatalogueModel* model = nullptr;  // null: any
    const ModelFit* file = nullptr;         // of a file, then `model` is its shape: no other quantization
    std::string quant;                      // empty: any
    std::optional<KvFormats> kv;            // nothing: f16, or q8_0 where that does not hurt
    uint32_t n_ctx = 0;                     // 0: at least min_context, as much as fits
    bool max_context = false;               // the largest context counts before speed
    uint32_t min_context = 16384;
    bool may_be_shorter = false;  // where min_context does not fit, a quarter of it, and so on down to one page
    uint32_t n_sequences = 1;
    const CatalogueModel* draft = nullptr;  // this one
    bool find_draft = false;                // or the best there is
    bool all_architectures = false;         // also what this build cannot run
};

struct DraftChoice {
    const CatalogueModel* model = nullptr;
    std::string quant;
    uint32_t n_ctx = 0;  // of target and draft, so that both fit
    KvFormats kv;
    uint64_t bytes = 0;  // weights, cache and scratch of its own
    double cost = 0;     // of one proposed token, in steps of the target
    /// How many times faster at acceptance 0.4, 0.6 and 0.8.
    double speedup_low = 1, speedup_middle = 1, speedup_high = 1;
};

struct PlanChoice {
    const CatalogueModel* model = nullptr;
    std::string quant;
    uint32_t n_ctx = 0;
    uint32_t n_sequences = 1;
    KvFormats kv;
    MemoryPlan footprint;
    std::optional<DraftChoice> draft;
    double quality = 0;      // points, after quantization
    bool estimated = false;  // no score on a ranked benchmark
    Range decode;            // tokens/s at a depth of 4096 tokens (or the context, if shorter)
    Range decode_full;       // with the context full
    Range prefill;           // tokens/s of a 512-token prompt
    bool runs = true;        // this build has the architecture
    std::string reason;

    bool useful() const { return decode.likely >= kUsefulTokensPerS; }
    uint64_t total_bytes() const { return footprint.total_bytes() + (draft ? draft->bytes : 0); }
};

/// Points less the cost of the recipe and the cache formats. Nothing for recipes without a measured loss.
std::optional<double> quality_of(const Catalogue& catalogue, const CatalogueModel& model, const Score& score,
                                 std::string_view quant, const KvFormats& kv);

/// Best first, at most `most`. Empty only if nothing fits; smallest_need then says what the smallest choice would take.
/// Fails: not_found (quantization), invalid_argument (draft of another vocabulary; heads that a cache format does not
/// divide).
Result<std::vector<PlanChoice>> choose(const Catalogue& catalogue, const PlanRequest& request, size_t most);

/// The choice with the fewest bytes among what the request allows, with the least context that it accepts.
/// Fails: invalid_argument (no model was made for a context that long: names the longest; no model allows the cache
/// format).
Result<PlanChoice> smallest_need(const Catalogue& catalogue, const PlanRequest& request);

/// The cache formats worth showing as a trade, with the largest context of each and bytes per token of context.
struct KvTrade {
    KvFormats kv;
    uint32_t n_ctx = 0;  // 0: not one page fits
    double bytes_per_token = 0;
    KvCost cost;
    KvCost
        cost_fitted;  // of the file that fit-cache would write; the same where it is one, or where fitting does nothing
};
std::vector<KvTrade> kv_trades(const Catalogue& catalogue, const ModelFit& fit, const Room& room, uint32_t n_sequences);

}  // namespace atlas
