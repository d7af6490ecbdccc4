#include "bench/tune.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "bench/matmul_timing.h"
#include "bench/random_weights.h"
#include "bench/samples.h"
#include "runtime/kernels/self_test/self_test.h"
#include "runtime/model/common_weights.h"
#include "runtime/ops/dry_ops.h"

namespace atlas::bench {

namespace {

constexpr uint64_t kWeightBytes = uint64_t{192} << 20;         // of one shape: more than a card's caches keep
constexpr uint64_t kSoftwareWeightBytes = uint64_t{16} << 20;  // a software device is slow enough as it is

/// Small, and the same for all variants of a shape, so that first tokens can be compared.
MatmulShape shape_to_compare(MatmulShape shape) {
    shape.n_out = std::min(shape.n_out, 64 + shape.n_out % 64);
    shape.n_in = std::min(shape.n_in, 2048 + shape.n_in % 2048);
    return shape;
}

/// While it lives, the backend runs every product by one variant.
class Only {
  public:
    Only(VkBackend& backend, const MatmulVariant& variant) : backend_(backend) { backend_.choices().only = variant; }
    ~Only() { backend_.choices().only.reset(); }
    Only(const Only&) = delete;
    Only& operator=(const Only&) = delete;

  private:
    VkBackend& backend_;
};

class Tuner {
  public:
    Tuner(VkBackend& backend, const TuneOptions& options) : backend_(backend), options_(options), random_(backend) {}

    Result<TuneResult> run(const std::vector<MatmulShape>& shapes) {
        for (const MatmulShape& shape : shapes) {
            if (out_of_time()) break;
            ATLAS_TRY_VOID(make_weights(shape));
            // What was finished before a stop counts.
            if (auto done = tune_shape(shape); !done && done.error().code != ErrorCode::cancelled)
                return tl::unexpected(std::move(done).error());
        }
        result_.complete = !out_of_time();
        result_.seconds = watch_.seconds();
        return std::move(result_);
    }

  private:
    bool out_of_time() const { return options_.stop.stop_requested() || watch_.seconds() > options_.seconds; }

    Result<void> make_weights(const MatmulShape& shape) {
        const uint64_t bytes = stored_bytes(shape.weight, shape.layout, uint64_t{shape.n_out} * shape.n_in);
        const uint64_t most = backend_.is_software() ? kSoftwareWeightBytes : kWeightBytes;
        const uint64_t count = std::clamp<uint64_t>(most / std::max<uint64_t>(bytes, 1), 1, 64);
        weights_.clear();
        storages_.clear();
        for (uint64_t i = 0; i < count; ++i) {
            ATLAS_TRY(storages_.emplace_back(), backend_.allocate(MemoryUse::weights, bytes, "tune weights"));
            ATLAS_TRY_VOID(random_.fill_matrix(shape.weight, shape.layout, bytes, *storages_.back()));
            weights_.push_back(dense(*storages_.back(), shape.weight, shape.n_out, shape.n_in, 0, shape.layout));
        }
        return backend_.finish_uploads();
    }

    Result<void> tune_shape(MatmulShape shape) {
        std::vector<std::vector<TimedVariant>> invariant;
        KernelChoices untuned;
        untuned.rejected = result_.choices.rejected;
        for (const uint32_t width : kTunedWidths) {
            shape.n_tokens = width;
            const bool must_be_batch_invariant = width / 2 < kBatchInvariantWidth;  // the bucket of 32 holds 17 to 24
            TunedProduct product;
            product.shape = shape;
            ATLAS_TRY(const auto timed, time_candidates(shape, must_be_batch_invariant, product.wrong));
            if (out_of_time()) return {};  // an incomplete measurement does not count
            product.first_draft = choose_matmul(backend_.caps(), untuned, shape).name();
            for (const TimedVariant& t : timed) {
                if (t.variant.name() == product.first_draft) product.first_draft_seconds = t.seconds;
            }
            if (must_be_batch_invariant) invariant.push_back(timed);
            if (!must_be_batch_invariant && !timed.empty()) take(product, timed.front());
            result_.products.push_back(std::move(product));
        }
        const std::vector<TimedVariant> winners = batch_invariant_winners(invariant);
        const size_t first = result_.products.size() - std::size(kTunedWidths);
        for (size_t i = 0; i < winners.size(); ++i) take(result_.products[first + i], winners[i]);
        return {};
    }

    void take(TunedProduct& product, const TimedVariant& winner) {
        product.winner = winner.variant.name();
        product.winner_seconds = winner.seconds;
        result_.choices.preferred[tuning_key(product.shape)] = product.winner;
    }

    /// Fastest first. Wrong ones are left out and noted.
    Result<std::vector<TimedVariant>> time_candidates(const MatmulShape& shape, bool must_be_batch_invariant,
                                                      std::vector<std::string>& wrong) {
        std::vector<TimedVariant> timed;
        for (const MatmulVariant& variant : matmul_candidates(backend_.caps(), shape)) {
            if (out_of_time()) break;
            if (must_be_batch_invariant && variant.x == XKind::q8 && !options_.allow_int8) continue;
            if (options_.progress) options_.progress(fmt::format("{}: {}", tuning_key(shape), variant.name()));
            const Only only(backend_, variant);
            ATLAS_TRY(const double error, matmul_error(backend_, self_test_shape({variant, shape}), variant.x));
            if (!(error <= 1)) {
                wrong.push_back(variant.name());
                result_.choices.rejected.insert(rejection_key(MatmulUse{variant, shape}));
                continue;
            }
            ATLAS_TRY(const MatmulTime time,
                      time_matmul(backend_, weights_, shape.n_tokens, {.seconds_per_run = 0.004, .runs = 2}));
            timed.push_back({variant, time.seconds, {}});
            if (must_be_batch_invariant) {
                ATLAS_TRY(timed.back().first_token, matmul_first_token(backend_, shape_to_compare(shape)));
                const auto& first = timed.back().first_token;
                // Wrong at this shape. NaN must not be sorted.
                if (!std::all_of(first.begin(), first.end(), [](float v) { return std::isfinite(v); }))
                    timed.pop_back();
            }
            ++result_.n_measured;
        }
        std::stable_sort(timed.begin(), timed.end(),
                         [](const auto& a, const auto& b) { return a.seconds < b.seconds; });
        return timed;
    }

    VkBackend& backend_;
    const TuneOptions& options_;
    RandomWeights random_;
    Stopwatch watch_;
    std::vector<std::unique_ptr<Storage>> storages_;
    std::vector<Tensor> weights_;
    TuneResult result_;
};

}  // namespace

std::vector<MatmulShape> matrix_shapes(const Weights& weights) {
    std::vector<MatmulShape> shapes;
    const auto add = [&](WeightId id, const Tensor& w) {
        if (!is_product(id, w)) return;
        const MatmulShape shape{w.format, w.rows, w.cols, 0, w.layout};
        const bool known = std::any_of(shapes.begin(), shapes.end(),
                                       [&](const MatmulShape& s) { return tuning_key(s) == tuning_key(shape); });
        if (!known) shapes.push_back(shape);
    };
    weights.for_each(add);
    return shapes;
}

std::vector<TimedVariant> batch_invariant_winners(const std::vector<std::vector<TimedVariant>>& by_width) {
    std::map<std::vector<float>, std::vector<TimedVariant>> by_order;
    for (size_t width = 0; width < by_width.size(); ++width) {
        std::map<std::vector<float>, const TimedVariant*> best;
        for (const TimedVariant& timed : by_width[width]) {
            const TimedVariant*& known = best[timed.first_token];
            if (known == nullptr || timed.seconds < known->seconds) known = &timed;
        }
        for (const auto& [order, timed] : best) {
            if (auto& winners = by_order[order]; winners.size() == width) winners.push_back(*timed);
        }
    }
    std::vector<TimedVariant> fastest;
    double least = std::numeric_limits<double>::infinity();
    for (const auto& [order, winners] : by_order) {
        if (winners.size() != by_width.size()) continue;
        // Each width counts as much as any other, however long it takes: the sum of the ratios to the best at that
        // width.
        double sum = 0;
        for (size_t width = 0; width < winners.size(); ++width) {
            const auto best = std::min_element(by_width[width].begin(), by_width[width].end(),
                                               [](const auto& a, const auto& b) { return a.seconds < b.seconds; });
            sum += winners[width].seconds / std::max(best->seconds, 1e-12);
        }
        if (sum < least) least = sum, fastest = winners;
    }
    return fastest;
}

Result<TuneResult> tune(VkBackend& backend, const std::vector<MatmulShape>& shapes, const TuneOptions& options) {
    Tuner tuner(backend, options);
    return tuner.run(shapes);
}

}  // namespace atlas::bench
