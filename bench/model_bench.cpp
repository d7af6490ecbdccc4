#include "bench/model_bench.h"

#include <algorithm>

#include "bench/samples.h"
#include "bench/timed_step.h"

namespace atlas::bench {

namespace {

std::vector<TokenId> some_tokens(uint32_t count, uint32_t n_vocab) {
    std::vector<TokenId> tokens(count);
    for (uint32_t i = 0; i < count; ++i) tokens[i] = (i * 7919u + 11u) % n_vocab;
    return tokens;
}

uint32_t largest(const std::vector<uint32_t>& values) {
    return values.empty() ? 0 : *std::max_element(values.begin(), values.end());
}

class ModelBench {
  public:
    ModelBench(std::shared_ptr<const Model> model, const BenchOptions& options, BenchResult& result)
        : model_(std::move(model)), options_(options), result_(result) {}

    Result<void> measure_session() {
        const uint32_t n_ctx = context_for(options_);
        SessionShape shape;
        shape.n_ctx = n_ctx;
        shape.n_batch = std::min(512u, n_ctx);
        shape.kv_format = options_.kv;
        ATLAS_TRY(session_, Session::create(model_, shape));
        result_.context = session_->n_ctx();
        result_.depth_filled_by = "prefill";
        tokens_ = some_tokens(n_ctx, model_->config().n_vocab);
        for (const uint32_t depth : options_.depths) {
            if (stopped()) return {};
            ATLAS_TRY_VOID(go_to(depth));
            for (const uint32_t n : options_.prefill) ATLAS_TRY_VOID(prefill(n, depth));
            for (const uint32_t n : options_.decode) ATLAS_TRY_VOID(decode(n, depth));
        }
        return {};
    }

    Result<void> measure_widths() {
        session_.reset();
        const uint32_t depth = options_.depths.empty() ? 0 : options_.depths.front();
        if (!options_.verify.empty()) {
            const StepShape most{1, largest(options_.verify), depth};
            ATLAS_TRY_VOID(steps(most, options_.verify, result_.verify, [&](uint32_t width) {
                return StepShape{1, width, depth};
            }));
        }
        if (!options_.batch.empty()) {
            const StepShape most{largest(options_.batch), 1, depth};
            ATLAS_TRY_VOID(steps(most, options_.batch, result_.batch, [&](uint32_t width) {
                return StepShape{width, 1, depth};
            }));
        }
        return {};
    }

  private:
    bool stopped() const { return options_.stop.stop_requested(); }
    void say(const std::string& what) const {
        if (options_.progress) options_.progress(what);
    }

    /// The timeline holds `depth` tokens afterwards.
    Result<void> go_to(uint32_t depth) {
        if (session_->tokens().size() > depth) session_->rewind(depth);
        if (session_->tokens().size() == depth) return {};
        say(fmt::format("filling {} tokens of context", depth));
        return session_->sync(std::span(tokens_).first(depth), {.stop = options_.stop}).map([](uint32_t) {});
    }

    Result<void> prefill(uint32_t n, uint32_t depth) {
        SpeedRow row{n, depth, {}};
        for (uint32_t i = 0; i <= options_.repetitions && !stopped(); ++i) {
            say(fmt::format("prefill of {} at {}, {} of {}", n, depth, i, options_.repetitions));
            session_->rewind(depth);
            const Stopwatch watch;
            ATLAS_TRY_VOID(session_->sync(std::span(tokens_).first(depth + n)).map([](uint32_t) {}));
            if (i > 0) row.samples.push_back(n / watch.seconds());  // the first run builds kernels
        }
        session_->rewind(depth);
        if (!row.samples.empty()) result_.prefill.push_back(std::move(row));
        return {};
    }

    Result<void> decode(uint32_t n, uint32_t depth) {
        SpeedRow row{n, depth, {}};
        for (uint32_t i = 0; i <= options_.repetitions && !stopped(); ++i) {
            say(fmt::format("decode of {} at {}, {} of {}", n, depth, i, options_.repetitions));
            ATLAS_TRY_VOID(session_->sync(std::span(tokens_).first(std::max(depth, 1u))).map([](uint32_t) {}));
            ATLAS_TRY(const double seconds, decode_once(i == 0 ? std::min(n, 2u) : n));  // the first run builds kernels
            if (i > 0 && !stopped()) row.samples.push_back(n / seconds);
        }
        session_->rewind(depth);
        if (!row.samples.empty()) result_.decode.push_back(std::move(row));
        return {};
    }

    // As answers are made: greedily, chosen by the device if it can, which is then one step ahead. Of n + 1 choices the
    // first needs no step.
    Result<double> decode_once(uint32_t n) {
        SamplerOptions greedy;
        greedy.temperature = 0;
        ATLAS_TRY(const Sampler sampler, Sampler::create(greedy));
        const bool on_device = session_->can_choose(greedy);
        result_.decoded_by = on_device ? "device, one step ahead" : "host, step by step";
        const Stopwatch watch;
        if (!on_device) {
            const uint32_t at = uint32_t(session_->tokens().size());
            for (uint32_t done = 0; done < n && !stopped(); ++done) ATLAS_TRY_VOID(session_->step(tokens_[at + done]));
            return watch.seconds();
        }
        ATLAS_TRY_VOID(session_->start_choosing(sampler));
        for (uint32_t done = 0; done <= n && !stopped(); ++done) {
            if (const auto choice = session_->next_choice(true); !choice) {
                session_->stop_choosing();
                return tl::unexpected(choice.error());
            }
        }
        const double seconds = watch.seconds();
        session_->stop_choosing();
        return seconds;
    }

    Result<void> steps(const StepShape& most, const std::vector<uint32_t>& widths, std::vector<WidthRow>& rows,
                       const std::function<StepShape(uint32_t)>& shape_of) {
        if (stopped()) return {};
        ATLAS_TRY(const auto runner, TimedStep::create(*model_, most, options_.kv));
        for (const uint32_t width : widths) {
            const StepShape shape = shape_of(width);
            say(fmt::format("step of {} x {} tokens", shape.n_seqs, shape.tokens_per_seq));
            ATLAS_TRY_VOID(runner->prepare(shape));
            WidthRow row{width, shape.depth, {}};
            for (uint32_t i = 0; i <= options_.repetitions && !stopped(); ++i) {
                const Stopwatch watch;
                ATLAS_TRY_VOID(runner->run());
                if (i > 0) row.samples.push_back(watch.seconds() * 1e3);
            }
            if (!row.samples.empty()) rows.push_back(std::move(row));
        }
        return {};
    }

    std::shared_ptr<const Model> model_;
    const BenchOptions& options_;
    BenchResult& result_;
    std::unique_ptr<Session> session_;
    std::vector<TokenId> tokens_;
};

}  // namespace

uint32_t context_for(const BenchOptions& options) {
    return largest(options.depths) + std::max(largest(options.prefill), largest(options.decode) + 3);
}

namespace {

Result<void> measure_all(const std::shared_ptr<const Model>& model, const BenchOptions& options, BenchResult& result) {
    if (!options.prefill.empty() || !options.decode.empty()) {
        ModelBench bench(model, options, result);
        ATLAS_TRY_VOID(bench.measure_session());
    }
    ModelBench bench(model, options, result);
    ATLAS_TRY_VOID(bench.measure_widths());
    return measure_kernels(*model, options, result);
}

}  // namespace

Result<void> measure_model(std::shared_ptr<const Model> model, const BenchOptions& options, BenchResult& result) {
    auto done = measure_all(model, options, result);
    result.cancelled = options.stop.stop_requested();
    // A stop within a measurement drops that one.
    if (!done && done.error().code == ErrorCode::cancelled) return {};
    return done;
}

}  // namespace atlas::bench
