#include "runtime/session/measure/perplexity.h"

#include <algorithm>
#include <cmath>

namespace atlas {

namespace {

// Base files hold nothing exact below e^-16 of a row's best: the stored value is a floor, not a probability, and tens
// of thousands of such tokens would add up (0.013 instead of 0.0035 nats for SmolLM2 Q4_1 against the same model
// elsewhere). llama-perplexity's figures agree with leaving them out.
constexpr double kLeastTold = -16;

/// In place: logits become log probabilities. Fails: corrupt when they are not finite.
Result<void> to_log_probabilities(std::span<float> row) {
    const float best = *std::max_element(row.begin(), row.end());
    double sum = 0;
    for (const float logit : row) sum += std::exp(double{logit} - double{best});
    const double shift = double{best} + std::log(sum);
    if (!std::isfinite(shift))
        return fail(ErrorCode::corrupt, "the model's output is damaged: the logits of a token sum to {}", shift);
    for (float& logit : row) logit = static_cast<float>(double{logit} - shift);
    return {};
}

/// Mean and its standard error.
struct Moments {
    double sum = 0, squares = 0;
    uint64_t n = 0;

    void add(double x) {
        sum += x;
        squares += x * x;
        ++n;
    }
    double mean() const { return n > 0 ? sum / double(n) : 0; }
    double error() const {
        return n > 1 ? std::sqrt(std::max(0.0, squares / double(n) - mean() * mean()) / double(n - 1)) : 0;
    }
};

class Measurement {
  public:
    Measurement(Session& session, std::span<const TokenId> tokens, const PerplexityOptions& options)
        : session_(session), options_(options), tokens_(tokens), vocabulary_(session.model().config().n_vocab) {}

    Result<PerplexityResult> run() {
        ATLAS_TRY_VOID(take_shape());
        std::optional<KlBaseWriter> writer;
        if (!options_.save_base.empty()) {
            ATLAS_TRY(KlBaseWriter made, KlBaseWriter::create(options_.save_base, shape_,
                                                              tokens_.first(uint64_t{shape_.n_chunks} * shape_.n_ctx)));
            writer.emplace(std::move(made));
        }
        writer_ = writer ? &*writer : nullptr;
        base_row_.resize(options_.base != nullptr ? vocabulary_ : 0);
        for (uint32_t chunk = 0; chunk < shape_.n_chunks; ++chunk) {
            ATLAS_TRY_VOID(run_chunk(chunk));
            if (options_.progress) options_.progress(chunk + 1, shape_.n_chunks, std::exp(loss_.mean()));
        }
        if (writer) ATLAS_TRY_VOID(writer->commit());
        return result();
    }

  private:
    Result<void> take_shape() {
        shape_ = {options_.n_ctx, vocabulary_, 0};
        if (options_.base != nullptr) {
            shape_ = options_.base->shape();
            tokens_ = options_.base->tokens();
            if (shape_.n_vocab != vocabulary_) {
                return fail(ErrorCode::invalid_argument,
                            "the base is of a model with a vocabulary of {}, this one has {}", shape_.n_vocab,
                            vocabulary_);
            }
        } else {
            if (shape_.n_ctx < 4)
                return fail(ErrorCode::invalid_argument, "chunks of {} tokens: expected at least 4", shape_.n_ctx);
            shape_.n_chunks = static_cast<uint32_t>(tokens_.size() / shape_.n_ctx);
            if (options_.max_chunks > 0) shape_.n_chunks = std::min(shape_.n_chunks, options_.max_chunks);
            if (shape_.n_chunks == 0) {
                return fail(ErrorCode::invalid_argument,
                            "a text of {} tokens does not fill a chunk of {}: take a longer text or a smaller --ctx",
                            tokens_.size(), shape_.n_ctx);
            }
        }
        if (shape_.n_ctx <= session_.n_ctx()) return {};
        return fail(ErrorCode::limit, "chunks of {} tokens do not fit: the context holds {}", shape_.n_ctx,
                    session_.n_ctx());
    }

    Result<void> run_chunk(uint32_t chunk) {
        const auto of_chunk = tokens_.subspan(uint64_t{chunk} * shape_.n_ctx, shape_.n_ctx);
        chunk_.assign(of_chunk.begin(), of_chunk.end());
        if (options_.bos) chunk_[0] = *options_.bos;
        session_.rewind(0);
        const uint32_t first = shape_.first_row(), n_run = shape_.n_ctx - 1;  // the token after the last one is unknown
        for (uint32_t done = 0; done < n_run;) {
            if (options_.stop.stop_requested())
                return fail(ErrorCode::cancelled, "stopped after {} of {} chunks", chunk, shape_.n_chunks);
            const bool scored = done >= first;
            const uint32_t most = scored ? std::min(session_.max_outputs(), session_.n_batch()) : session_.n_batch();
            const uint32_t n_tokens = std::min(most, (scored ? n_run : first) - done);
            ATLAS_TRY_VOID(session_.extend(std::span(chunk_).subspan(done, n_tokens), scored ? n_tokens : 0));
            if (scored) {
                const auto logits = session_.logits_rows();
                rows_.assign(logits.begin(), logits.end());
                for (uint32_t i = 0; i < n_tokens; ++i) {
                    ATLAS_TRY_VOID(score(chunk, done + i - first,
                                         std::span(rows_).subspan(uint64_t{i} * vocabulary_, vocabulary_)));
                }
            }
            done += n_tokens;
        }
        return {};
    }

    Result<void> score(uint32_t chunk, uint32_t row, std::span<float> logits) {
        ATLAS_TRY_VOID(to_log_probabilities(logits));
        const TokenId next = chunk_[shape_.first_row() + row + 1];
        loss_.add(-double{logits[next]});
        if (writer_ != nullptr) ATLAS_TRY_VOID(writer_->add_row(logits));
        if (options_.base == nullptr) return {};
        ATLAS_TRY_VOID(options_.base->read_row(chunk, row, base_row_));
        base_loss_.add(-double{base_row_[next]});
        double divergence = 0;
        for (uint32_t i = 0; i < vocabulary_; ++i) {
            const double p = base_row_[i];
            if (p <= kLeastTold) continue;
            divergence += std::exp(p) * (p - double{logits[i]});
        }
        divergence_.add(divergence);
        divergences_.push_back(divergence);
        const auto top = [](std::span<const float> of) { return std::max_element(of.begin(), of.end()) - of.begin(); };
        n_same_top_ += top(logits) == top(base_row_) ? 1 : 0;
        return {};
    }

    PerplexityResult result() {
        PerplexityResult out{
            shape_.n_chunks, loss_.n, std::exp(loss_.mean()), std::exp(loss_.mean()) * loss_.error(), {}};
        if (options_.base == nullptr) return out;
        std::sort(divergences_.begin(), divergences_.end());
        // Interpolates between the two nearest values where none lies exactly there.
        const auto percentile = [&](double share) {
            const double at = share * double(divergences_.size() - 1);
            const auto low = static_cast<size_t>(at);
            const size_t high = std::min(low + 1, divergences_.size() - 1);
            return divergences_[low] + (at - double(low)) * (divergences_[high] - divergences_[low]);
        };
        out.divergence = {divergence_.mean(),         divergence_.error(), percentile(0.5),
                          percentile(0.99),           divergences_.back(), double(n_same_top_) / double(loss_.n),
                          std::exp(base_loss_.mean())};
        return out;
    }

    Session& session_;
    const PerplexityOptions& options_;
    std::span<const TokenId> tokens_;
    uint32_t vocabulary_;
    KlBaseShape shape_;
    KlBaseWriter* writer_ = nullptr;
    std::vector<TokenId> chunk_;
    std::vector<float> rows_, base_row_;
    Moments loss_, base_loss_, divergence_;
    std::vector<double> divergences_;
    uint64_t n_same_top_ = 0;
};

}  // namespace

Result<PerplexityResult> measure_perplexity(Session& session, std::span<const TokenId> tokens,
                                            const PerplexityOptions& options) {
    return Measurement(session, tokens, options).run();
}

}  // namespace atlas
