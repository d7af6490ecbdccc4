#include "runtime/session/fit/cache_rotation_fit.h"

#include <algorithm>
#include <cmath>

#include "runtime/model/common_weights.h"
#include "runtime/session/fit/watching_ops.h"

namespace atlas {

namespace {

constexpr uint32_t kFewestTokens = 32;
constexpr uint32_t kMostPositions = 2048;
// How often the positions of the tokens are drawn: four give keys of q4_0 5 % less divergence than one (SmolLM2,
// 2026-11-21).
constexpr uint32_t kDraws = 4;
// Pieces of progress that fitting a layer counts as; evaluating it after a draw counts as one.
constexpr uint32_t kWorkOfAFit = 4;

class Fit {
  public:
    Fit(const Model& model, std::span<const TokenId> tokens, const FitWatch& watch)
        : model_(model),
          config_(model.config()),
          layer_(config_.layers.front()),
          n_(static_cast<uint32_t>(tokens.size())),
          tokens_(tokens),
          watch_(watch) {}

    Result<std::vector<LayerRotations>> run() {
        ATLAS_TRY_VOID(advance(0));
        ATLAS_TRY_VOID(allocate());
        Backend& backend = model_.backend();
        ATLAS_TRY(const auto program, backend.record("fit cache", [this](Ops& ops) { pass(ops); }));
        for (uint32_t drawn = 0; drawn < kDraws; ++drawn) {
            const auto words = step_words(drawn);
            backend.write(*step_, 0, std::as_bytes(std::span(words)));
            ATLAS_TRY_VOID(backend.run(*program));
            for (uint32_t il = 0; il < config_.n_layer(); ++il) {
                ATLAS_TRY_VOID(look_at(il, drawn));
                ATLAS_TRY_VOID(advance(1));
            }
        }
        std::vector<LayerRotations> turns(config_.n_layer());
        for (uint32_t il = 0; il < config_.n_layer(); ++il) {
            for (const HeadStatistics& head : keys_[il]) turns[il].k.push_back(fit_head_rotation(head));
            ATLAS_TRY_VOID(advance(kWorkOfAFit / 2));
            ATLAS_TRY_VOID(weigh_values(il));
            for (const HeadStatistics& head : values_[il]) turns[il].v.push_back(fit_value_rotation(head));
            ATLAS_TRY_VOID(advance(kWorkOfAFit / 2));
        }
        return turns;
    }

  private:
    // 0: the total is not known yet.
    Result<void> advance(uint32_t pieces) {
        done_ += pieces;
        if (watch_.progress) watch_.progress(done_, config_.n_layer() * (kDraws + kWorkOfAFit));
        if (watch_.stop.stop_requested()) return fail(ErrorCode::cancelled, "stopped; nothing was written");
        return {};
    }

    uint32_t n_pages() const { return pages_for(n_); }

    Result<Tensor> take(MemoryUse use, Format format, uint32_t rows, uint32_t cols, std::string_view name) {
        ATLAS_TRY(auto storage, model_.backend().allocate(use, uint64_t{rows} * kv_row_bytes(format, cols), name));
        storages_.push_back(std::move(storage));
        return dense(*storages_.back(), format, rows, cols);
    }

    Result<void> allocate() {
        Backend& backend = model_.backend();
        ATLAS_TRY(const MemoryPlan plan, model_.plan_session(fit_shape(std::max(n_, layer_.head_dim))));
        ATLAS_TRY_VOID(backend.reserve_scratch(plan.scratch_bytes));
        const uint32_t n_rows = n_pages() * kPageTokens;
        for (uint32_t il = 0; il < config_.n_layer(); ++il) {
            ATLAS_TRY(const Tensor k,
                      take(MemoryUse::kv, Format::f32, n_rows, layer_.k_width(), fmt::format("fit.{}.k", il)));
            ATLAS_TRY(const Tensor v,
                      take(MemoryUse::kv, Format::f32, n_rows, layer_.k_width(), fmt::format("fit.{}.v", il)));
            kv_.push_back({k, v, kPageTokens});
            ATLAS_TRY(const Tensor q_copy,
                      take(MemoryUse::output, Format::f32, n_, layer_.q_width(), fmt::format("fit.{}.q copy", il)));
            ATLAS_TRY(const Tensor k_copy,
                      take(MemoryUse::output, Format::f32, n_, layer_.k_width(), fmt::format("fit.{}.k copy", il)));
            ATLAS_TRY(const Tensor v_copy,
                      take(MemoryUse::output, Format::f32, n_, layer_.k_width(), fmt::format("fit.{}.v copy", il)));
            copies_.push_back({q_copy, k_copy, v_copy});
        }
        ATLAS_TRY(nothing_q_, take(MemoryUse::output, Format::f32, 1, layer_.q_width(), "fit.zeros"));
        ATLAS_TRY(nothing_k_, take(MemoryUse::output, Format::f32, 1, layer_.k_width(), "fit.zeros"));
        ATLAS_TRY(unit_rows_, take(MemoryUse::output, Format::f32, layer_.head_dim, layer_.q_width(), "fit.unit rows"));
        ATLAS_TRY(head_columns_,
                  take(MemoryUse::output, Format::f32, layer_.head_dim, config_.n_embd, "fit.head columns"));
        ATLAS_TRY(step_, backend.allocate(MemoryUse::step, (5ull * n_ + n_pages() + 1) * sizeof(uint32_t), "fit.step"));
        return {};
    }

    // Tokens, positions, slots, sequences, the positions of the copies, the page table, and how many positions all
    // tokens share.
    std::vector<uint32_t> step_words(uint32_t drawn) const {
        std::vector<uint32_t> words(tokens_.begin(), tokens_.end());
        for (uint32_t t = 0; t < 2 * n_; ++t) words.push_back(t % n_);
        words.insert(words.end(), n_, 0);
        const uint32_t span = std::max(1u, std::min(kMostPositions, config_.n_ctx_train));
        uint64_t state = drawn + 1;  // a linear congruential generator's upper bits: the same on every platform
        for (uint32_t t = 0; t < n_; ++t) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            words.push_back(t == 0 ? 0 : static_cast<uint32_t>((state >> 33) % span));
        }
        for (uint32_t page = 0; page < n_pages(); ++page) words.push_back(page);
        words.push_back(UINT32_MAX);
        return words;
    }

    void pass(Ops& ops) const {
        const auto view = [&](uint64_t array, uint32_t count) {
            return U32View{step_.get(), array * n_ * sizeof(uint32_t), count};
        };
        StepViews views{
            view(0, n_), view(1, n_), view(2, n_), view(3, n_), {step_.get(), 5ull * n_ * sizeof(uint32_t), n_pages()},
            {}};
        views.max_pages = n_pages();
        views.max_kv_tokens = n_pages() * kPageTokens;
        views.shared_positions = {step_.get(), (5ull * n_ + n_pages()) * sizeof(uint32_t), 1};
        WatchingOps watching(ops, copies_, view(4, n_), nothing_q_, nothing_k_);
        model_.architecture().forward({config_, model_.weights(), kv_, views, {}}, watching);
    }

    std::vector<float> floats_of(const Tensor& tensor) const {
        std::vector<float> values(uint64_t{tensor.rows} * tensor.cols);
        model_.backend().read(*tensor.storage, tensor.offset_bytes, std::as_writable_bytes(std::span(values)));
        return values;
    }

    Result<void> look_at(uint32_t il, uint32_t drawn) {
        const std::vector<float> q = floats_of(copies_[il].q), k = floats_of(copies_[il].k),
                                 v = floats_of(copies_[il].v);
        const auto bad = [](const std::vector<float>& values) {
            return std::any_of(values.begin(), values.end(), [](float x) { return !std::isfinite(x); });
        };
        if (bad(q) || bad(k) || bad(v))
            return fail(ErrorCode::corrupt,
                        "this model's keys, queries or values are not finite: nothing can be fitted to them");
        const uint32_t d = layer_.head_dim, heads = layer_.n_head / layer_.n_head_kv;
        keys_.resize(config_.n_layer());
        values_.resize(config_.n_layer());
        for (uint32_t g = 0; g < layer_.n_head_kv; ++g) {
            std::vector<float> keys, queries, values;
            for (uint32_t t = 0; t < n_; ++t) {
                const auto kv_at = int64_t{t} * layer_.k_width() + g * d;
                const auto q_at = q.begin() + int64_t{t} * layer_.q_width() + int64_t{g} * heads * d;
                keys.insert(keys.end(), k.begin() + kv_at, k.begin() + kv_at + d);
                values.insert(values.end(), v.begin() + kv_at, v.begin() + kv_at + d);
                if (t > 0) queries.insert(queries.end(), q_at, q_at + int64_t{heads} * d);
            }
            const HeadStatistics seen = head_statistics(d, keys, queries);
            if (drawn > 0) {
                add_to_mean(keys_[il][g], drawn, seen);
                continue;
            }
            keys_[il].push_back(seen);
            values_[il].push_back(head_statistics(d, values, queries));
            values_[il].back().key_mean.assign(d, 0);  // stays with the values
        }
        return {};
    }

    // query_moments of values: the sum of W^T W over the query heads of each group, W [n_embd, head_dim] being a head's
    // columns of the output matrix. The device computes W^T as its product with rows of the unit matrix.
    Result<void> weigh_values(uint32_t il) {
        Backend& backend = model_.backend();
        const uint32_t d = layer_.head_dim, heads = layer_.n_head / layer_.n_head_kv, width = layer_.q_width();
        const Tensor& w = model_.weights().at(il, kAttnOutput);
        ATLAS_TRY(const auto program,
                  backend.record("fit values", [&](Ops& ops) { ops.matmul(w, unit_rows_, head_columns_); }));
        for (HeadStatistics& statistics : values_[il]) statistics.query_moments.assign(uint64_t{d} * d, 0);
        for (uint32_t h = 0; h < layer_.n_head; ++h) {
            std::vector<float> units(uint64_t{d} * width, 0);
            for (uint32_t i = 0; i < d; ++i) units[uint64_t{i} * width + h * d + i] = 1;
            backend.write(*unit_rows_.storage, unit_rows_.offset_bytes, std::as_bytes(std::span(units)));
            ATLAS_TRY_VOID(backend.run(*program));
            const std::vector<float> columns = floats_of(head_columns_);
            std::vector<double>& moments = values_[il][h / heads].query_moments;
            for (uint32_t i = 0; i < d; ++i) {
                for (uint32_t j = 0; j <= i; ++j) {
                    double sum = 0;
                    for (uint32_t e = 0; e < config_.n_embd; ++e)
                        sum += double{columns[uint64_t{i} * config_.n_embd + e]} *
                               columns[uint64_t{j} * config_.n_embd + e];
                    moments[uint64_t{i} * d + j] += sum;
                    if (j < i) moments[uint64_t{j} * d + i] += sum;
                }
            }
        }
        return {};
    }

    const Model& model_;
    const ModelConfig& config_;
    const LayerConfig& layer_;  // all are equal
    uint32_t n_;
    std::span<const TokenId> tokens_;
    const FitWatch& watch_;
    uint32_t done_ = 0;
    std::vector<std::unique_ptr<Storage>> storages_;
    std::unique_ptr<Storage> step_;
    std::vector<KvLayer> kv_;
    std::vector<WatchingOps::Copies> copies_;
    Tensor nothing_q_, nothing_k_, unit_rows_, head_columns_;
    std::vector<std::vector<HeadStatistics>> keys_, values_;  // [n_layer][n_head_kv]
};

}  // namespace

SessionShape fit_shape(uint32_t n_tokens) {
    return {.n_ctx = n_tokens, .n_batch = n_tokens, .max_outputs = 1, .kv_format = Format::f32};
}

Result<std::vector<LayerRotations>> fit_cache_rotations(const Model& model, std::span<const TokenId> tokens,
                                                        const FitWatch& watch) {
    if (tokens.size() < kFewestTokens || tokens.size() > kFitTokens) {
        return fail(ErrorCode::invalid_argument, "a text of {} tokens: expected {} .. {}", tokens.size(), kFewestTokens,
                    kFitTokens);
    }
    for (const TokenId token : tokens) {
        if (token >= model.config().n_vocab)
            return fail(ErrorCode::invalid_argument, "token {}: expected an id below {} (the vocabulary)", token,
                        model.config().n_vocab);
    }
    if (model.weights().at(0, kRotateK)) {
        return fail(ErrorCode::invalid_argument, "this model was fitted already: take the file that it was made from");
    }
    for (const LayerConfig& layer : model.config().layers) {
        const LayerConfig& first = model.config().layers.front();
        const bool is_equal = layer.mixer == Mixer::attention && layer.q_width() == first.q_width() &&
                              layer.k_width() == first.k_width() && layer.head_dim == first.head_dim &&
                              layer.v_head_dim == layer.head_dim && layer.window == 0;
        if (!is_equal)
            return fail(ErrorCode::unsupported, "the layers of this model differ: their caches cannot be fitted");
    }
    if (model.config().attention_softcap > 0 || model.weights().at(0, kAttnSinks)) {
        return fail(ErrorCode::unsupported,
                    "the scores of this model are capped or have sinks: its caches cannot be fitted");
    }
    return Fit(model, tokens, watch).run();
}

}  // namespace atlas
