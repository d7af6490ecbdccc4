#include "runtime/planner/context.h"

#include <algorithm>
#include <utility>

#include "runtime/base/units.h"
#include "runtime/gguf/file_error.h"
#include "runtime/planner/choose.h"

namespace atlas {

namespace {

constexpr uint32_t kUsefulContext = 8192;
constexpr uint64_t kShareOfComfort = 16;

class ContextChooser {
  public:
    ContextChooser(const gguf::File& file, ResolvedFile target, std::optional<ResolvedFile> draft,
                   const Backend& backend, const ContextWish& wish, const Catalogue& catalogue)
        : file_(file),
          target_(std::move(target)),
          draft_(std::move(draft)),
          backend_(backend),
          wish_(wish),
          catalogue_(catalogue),
          native_(target_.config.n_ctx_train),
          budget_(backend.budget()) {}

    Result<ContextChoice> choose() const {
        const KvFormats& kv = wish_.shape.kv_format;
        if (wish_.shape.n_ctx > 0) {
            if (const auto fit = longest(wish_.shape.n_ctx, wish_.shape.n_ctx, kv)) return made(*fit);
            return refuse(wish_.shape.n_ctx);
        }
        const uint32_t least = std::min(kUsefulContext, native_);
        auto fit = longest(kPageTokens, native_, kv, comfort_bytes());
        if (!fit || fit->plan.n_ctx < least) {
            if (const auto useful = longest(least, least, kv)) return made(*useful);
            fit = longest(kPageTokens, native_, kv);
        }
        if (fit) return made(*fit);
        return refuse(least);
    }

  private:
    struct Fit {
        MemoryPlan plan;
        uint64_t all_bytes = 0;  // with the draft, if there is one
    };

    MemoryPlan alone(uint32_t n_ctx, const KvFormats& kv) const {
        SessionShape shape = wish_.shape;
        shape.n_ctx = n_ctx;
        shape.kv_format = kv;
        return plan_memory(target_.plan_input(backend_), shape).value();
    }
    MemoryPlan draft_plan(uint32_t n_ctx, const KvFormats& kv) const {
        return plan_memory(draft_->plan_input(backend_),
                           draft_session(draft_->config, n_ctx, kv, wish_.shape.max_timelines))
            .value();
    }
    MemoryPlan all(uint32_t n_ctx, const KvFormats& kv) const {
        return draft_ ? together(alone(n_ctx, kv), draft_plan(n_ctx, kv)) : alone(n_ctx, kv);
    }

    std::optional<Fit> longest(uint32_t least, uint32_t most, const KvFormats& kv, uint64_t free_bytes) const {
        const auto fit =
            longest_fitting(room_on(backend_, free_bytes), least, most, [&](uint32_t n_ctx) { return all(n_ctx, kv); });
        if (!fit) return std::nullopt;
        return Fit{draft_ ? alone(fit->n_ctx, kv) : *fit, fit->total_bytes()};
    }
    std::optional<Fit> longest(uint32_t least, uint32_t most, const KvFormats& kv) const {
        return longest(least, most, kv, wish_.keep_free_bytes);
    }

    uint64_t comfort_bytes() const {
        if (!wish_.shared_memory) return wish_.keep_free_bytes + std::min(kGiB, budget_.total_bytes / kShareOfComfort);
        const MemoryPlan smallest = all(1, wish_.shape.kv_format);
        const uint64_t most = smallest.weights_bytes + smallest.other_bytes + budget_.available_bytes / kShareOfComfort;
        return std::max(wish_.keep_free_bytes, budget_.available_bytes - std::min(budget_.available_bytes, most));
    }

    // Other programs may have taken memory since the budget was read; then nothing is left free.
    ContextChoice made(const Fit& fit) const {
        return {fit.plan, native_, fit.all_bytes - fit.plan.total_bytes(),
                budget_.available_bytes - std::min(budget_.available_bytes, fit.all_bytes)};
    }

    tl::unexpected<Error> refuse(uint32_t n_ctx) const {
        const KvFormats& kv = wish_.shape.kv_format;
        const MemoryPlan need = alone(n_ctx, kv);
        const uint64_t needed = all(n_ctx, kv).total_bytes();
        const uint64_t there = budget_.available_bytes - std::min(budget_.available_bytes, wish_.keep_free_bytes);
        const std::string draft_text =
            draft_ ? fmt::format(", {} for the draft {}", bytes_text(needed - need.total_bytes()),
                                 wish_.draft->path().filename().string())
                   : "";
        const uint64_t largest = backend_.max_storage_bytes();
        const std::string piece_text =
            need.largest_storage_bytes > largest
                ? fmt::format(", at most {} in one piece, of which the keys or values of one layer need {}",
                              bytes_text(largest), bytes_text(need.largest_storage_bytes))
                : "";
        std::string text = fmt::format(
            "{}: {} tokens of context do not fit: {} are needed (weights {}, {} cache {}, scratch {}, the rest {}{}) "
            "and {} are there{}{}.",
            file_.path().filename().string(), need.n_ctx, bytes_text(needed), bytes_text(need.weights_bytes),
            name_of(kv), bytes_text(need.kv_bytes), bytes_text(need.scratch_bytes),
            bytes_text(need.step_bytes + need.output_bytes + need.other_bytes), draft_text, bytes_text(there),
            wish_.keep_free_bytes > 0 ? fmt::format(" ({} kept free as asked)", bytes_text(wish_.keep_free_bytes)) : "",
            piece_text);
        const std::string instead = alternatives(n_ctx) + smaller_model(n_ctx, there);
        text += instead.empty() ? " Nothing of the catalogue is small enough" : " What fits:" + instead;
        return tl::unexpected(Error{ErrorCode::out_of_memory, std::move(text)});
    }

    // The whole context with a smaller cache where that is enough, else the longest. No cache that hurts this model.
    std::string alternatives(uint32_t n_ctx) const {
        std::string text;
        const KvFormats asked = wish_.shape.kv_format;
        const CacheTraits traits = cache_traits(file_);
        std::vector<KvFormats> caches = smaller_caches(catalogue_, traits);
        if (!is_hurtful(kv_cost_of(catalogue_, asked, traits))) caches.insert(caches.begin(), asked);
        for (const KvFormats& kv : caches) {
            const bool is_asked = kv.k == asked.k && kv.v == asked.v;
            if ((is_asked && !text.empty()) || !fits_heads(kv, target_.config)) continue;
            if (const auto fit = longest(kPageTokens, n_ctx, kv))
                text += fmt::format("\n  --ctx {} --kv {:<6} ({} in all)", fit->plan.n_ctx, name_of(kv),
                                    bytes_text(fit->all_bytes));
        }
        if (!draft_) return text;
        const auto without = longest_fitting(room_on(backend_, wish_.keep_free_bytes), kPageTokens, n_ctx,
                                             [&](uint32_t tokens) { return alone(tokens, asked); });
        if (without) {
            text += fmt::format("\n  --draft none --ctx {} --kv {:<6} ({} in all)", without->n_ctx, name_of(asked),
                                bytes_text(without->total_bytes()));
        }
        return text;
    }

    std::string smaller_model(uint32_t n_ctx, uint64_t there) const {
        PlanRequest request;
        request.room = {there, backend_.max_storage_bytes()};
        request.speed = factors_of(catalogue_, Card{});  // the order of choices does not depend on the absolute speed
        request.speed.bandwidth_gbps = request.speed.matrix_tflops = 100;
        request.speed.unknown = true;
        request.n_ctx = n_ctx;
        const auto choices = atlas::choose(catalogue_, request, 1);
        if (!choices || choices->empty()) return {};
        const PlanChoice& best = choices->front();
        return fmt::format("\n  {} {} with {} tokens and {} cache ({} in all): atlas-vk plan --model {}",
                           best.model->shape.id, best.quant, best.n_ctx, name_of(best.kv),
                           bytes_text(best.total_bytes()), best.model->shape.id);
    }

    const gguf::File& file_;
    const ResolvedFile target_;
    const std::optional<ResolvedFile> draft_;
    const Backend& backend_;
    const ContextWish& wish_;
    const Catalogue& catalogue_;
    const uint32_t native_;
    const MemoryBudget budget_;
};

}  // namespace

uint32_t batch_for(uint32_t n_timelines) { return std::max(512u, n_timelines + kPageTokens); }

SessionShape draft_session(const ModelConfig& draft, uint32_t n_ctx, const KvFormats& kv, uint32_t n_timelines) {
    SessionShape shape;
    shape.n_ctx = std::min(n_ctx, draft.n_ctx_train);
    shape.kv_format = fits_heads(kv, draft) ? kv : KvFormats(Format::f16);
    shape.max_timelines = shape.max_outputs = n_timelines;
    shape.n_batch = batch_for(n_timelines);
    return shape;
}

Result<ContextChoice> choose_context(const gguf::File& file, const Backend& backend, const ContextWish& wish,
                                     const Catalogue& catalogue) {
    // Errors other than memory are found here, so that later only memory can be the reason.
    ATLAS_TRY(ResolvedFile target, resolve_file(file, backend));
    ATLAS_TRY_VOID(check_shape(target.config, wish.shape));
    std::optional<ResolvedFile> draft;
    if (wish.draft != nullptr) {
        auto found = resolve_file(*wish.draft, backend);
        if (!found) return gguf::fail_in_file(wish.draft->path(), found.error());
        draft = std::move(*found);
    }
    return ContextChooser(file, std::move(target), std::move(draft), backend, wish, catalogue).choose();
}

std::string describe(const ContextChoice& choice, const KvFormats& kv) {
    const uint32_t n_ctx = choice.plan.n_ctx;
    return fmt::format(
        "context {} tokens{}, {} cache {}{}, {} of memory left free", n_ctx,
        n_ctx >= choice.n_ctx_native ? " (the model's own)" : fmt::format(" of the model's {}", choice.n_ctx_native),
        name_of(kv), bytes_text(choice.plan.kv_bytes),
        choice.draft_bytes > 0 ? fmt::format(", draft {}", bytes_text(choice.draft_bytes)) : "",
        bytes_text(choice.left_free_bytes));
}

}  // namespace atlas
