#pragma once
// What a quantized cache costs in quality: measured on a few models, and carried over to others by what their keys look
// like.
//
// Keys cause nearly all of the loss, and what makes keys hard to round is a bias that rope rotates with the position.
// What key_shift leaves of it (runtime/model/key_shift.h) is measured from the file. A model is assumed to lose what
// the measured model with the next larger rest loses.

#include "runtime/gguf/reader.h"
#include "runtime/ops/kv_layout.h"
#include "runtime/planner/catalogue.h"

namespace atlas {

/// The properties of a model that decide how well its cache can be rounded.
struct CacheTraits {
    bool fitted = false;  // by atlas-vk fit-cache
    // See key_bias_left() of runtime/model/key_shift.h. Infinite: there are biases that were not read.
    double key_bias_left = 0;
};
CacheTraits cache_traits(const ModelShape& model);
/// Reads the biases of the keys, a few kilobytes. Those of an architecture that this build does not know count as
/// infinite.
CacheTraits cache_traits(const gguf::File& file);

/// What a cache costs in perplexity, as a share, and where that was measured: usually on another model.
struct KvCost {
    double perplexity_share = 0;
    std::string source;
    bool is_least = false;  // the model's keys are harder to round than those of every measured model: it may cost more
    bool measured = false;  // with exactly these formats, rotation and fit (unquantized: nothing to measure); else an
                            // estimate, for ranking
};
/// Uses the rows of the measured model whose keys are as hard to round as this one's, or the next harder: the pair's
/// own row with the same rotation (fitted: by the model's own matrices, where that was measured), else the sum of keys
/// alone and values alone, each in this format or the next less exact one that was measured. A row that was not
/// measured for it is taken from the next harder model; for values, which differ little between models, from an easier
/// one first.
KvCost kv_cost_of(const Catalogue& catalogue, const KvFormats& kv, const CacheTraits& traits);

/// A cache that costs more than this is never proposed, and `run` warns of it; for comparison, weights of Q4_0
/// cost 7.5 %, of Q4_K_S 4.3 %. Where the cost is only a lower bound (is_least), the limit is a fifth of that.
inline constexpr double kHurtfulShare = 0.05;
inline bool is_hurtful(const KvCost& cost) {
    return cost.perplexity_share > (cost.is_least ? kHurtfulShare / 5 : kHurtfulShare);
}

/// The caches to propose where f16 does not fit, with the default rotation: q8_0, and the smallest of q4_0 and of q8_0
/// keys with q4_0 values; none that is hurtful.
std::vector<KvFormats> smaller_caches(const Catalogue& catalogue, const CacheTraits& traits);

/// The warning about a cache that is hurtful: by how much, where that was measured, and what costs less. Empty: it is
/// not hurtful.
std::string warning_of(const Catalogue& catalogue, const KvFormats& kv, const CacheTraits& traits);

}  // namespace atlas
