#include "runtime/planner/context.h"

#include <algorithm>
#include <utility>

#include "runtime/base/largest_fitting.h"
#include "runtime/base/units.h"
#include "runtime/planner/choose.h"

namespace atlas {

namespace {

constexpr uint32_t kUsefulContext = 8192;
constexpr uint64_t kShareOfComfort = 16;

class ContextChooser {
  public:
    ContextChooser(const gguf::File& file, const Backend& backend, const ContextWish& wish, const Catalogue& catalogue,
                   uint32_t native)
        : file_(file),
          backend_(backend),
          wish_(wish),
          catalogue_(catalogue),
          native_(native),
          budget_(backend.budget()) {}

    Result<ContextChoice> choose() const {
        if (wish_.shape.n_ctx > 0) {
            if (const auto plan = fitting(wish_.shape.n_ctx, wish_.shape.kv_format, wish_.keep_free_bytes))
                return made(*plan);
            return refuse(wish_.shape.n_ctx);
        }
        ATLAS_TRY(const uint64_t free_bytes, comfort_bytes());
        const uint32_t least = std::min(kUsefulContext, native_);
        auto plan = fitting(0, wish_.shape.kv_format, free_bytes);
        if (!plan || plan->plan.n_ctx < least) {
            if (const auto useful = fitting(least, wish_.shape.kv_format, wish_.keep_free_bytes)) return made(*useful);
            plan = fitting(0, wish_.shape.kv_format, wish_.keep_free_bytes);
        }
        if (plan) return made(*plan);
        return refuse(least);
    }

  private:
    struct Fit {
        MemoryPlan plan;
        uint64_t all_bytes = 0;  // with the draft, if there is one
    };

    // Returns nothing if it does not fit; other failures have been found before. n_ctx 0: the longest that fits.
    std::optional<Fit> fitting(uint32_t n_ctx, const KvFormats& kv, uint64_t free_bytes) const {
        const auto longest = alone(n_ctx, kv, free_bytes);
        if (!longest) return std::nullopt;
        if (const auto fit = with_draft(*longest, kv, free_bytes)) return fit;
        if (n_ctx > 0) return std::nullopt;
        std::optional<Fit> best;
        largest_fitting(0, longest->n_ctx / kPageTokens - 1, [&](uint32_t pages) {
            const auto plan = alone(pages * kPageTokens, kv, free_bytes);
            const auto fit = plan ? with_draft(*plan, kv, free_bytes) : std::nullopt;
            if (fit) best = fit;
            return fit.has_value();
        });
        return best;
    }

    std::optional<MemoryPlan> alone(uint32_t n_ctx, const KvFormats& kv, uint64_t free_bytes) const {
        SessionShape shape = wish_.shape;
        shape.n_ctx = n_ctx;
        shape.kv_format = kv;
        const auto plan = plan_file_on(file_, shape, backend_, free_bytes);
        return plan ? std::optional(*plan) : std::nullopt;
    }

    // Returns nothing if there is no room for the draft.
    std::optional<Fit> with_draft(const MemoryPlan& plan, const KvFormats& kv, uint64_t free_bytes) const {
        if (wish_.draft == nullptr) return Fit{plan, plan.total_bytes()};
        const auto shape = draft_session(*wish_.draft, plan.n_ctx, kv);
        const auto draft = shape ? plan_file_on(*wish_.draft, *shape, backend_, 0) : tl::unexpected(shape.error());
        if (!draft) return std::nullopt;
        const Fit fit{plan, together(plan, *draft).total_bytes()};
        return fit.all_bytes + free_bytes <= budget_.available_bytes ? std::optional(fit) : std::nullopt;
    }

    Result<uint64_t> comfort_bytes() const {
        if (!wish_.shared_memory) return wish_.keep_free_bytes + std::min(kGiB, budget_.total_bytes / kShareOfComfort);
        SessionShape one = wish_.shape;
        one.n_ctx = 1;
        ATLAS_TRY(const MemoryPlan smallest, plan_file(file_, one));
        uint64_t most = smallest.weights_bytes + backend_.overhead_bytes() + budget_.available_bytes / kShareOfComfort;
        if (wish_.draft != nullptr) {
            ATLAS_TRY(const MemoryPlan draft, need_of_draft(1));
            most += draft.weights_bytes + backend_.overhead_bytes();
        }
        return std::max(wish_.keep_free_bytes, budget_.available_bytes - std::min(budget_.available_bytes, most));
    }

    // Checks that need no device.
    Result<MemoryPlan> need_of_draft(uint32_t n_ctx) const {
        ATLAS_TRY(const SessionShape shape, draft_session(*wish_.draft, n_ctx, wish_.shape.kv_format));
        ATLAS_TRY(MemoryPlan need, plan_file(*wish_.draft, shape));
        need.other_bytes = backend_.overhead_bytes();
        return need;
    }

    // Other programs may have taken memory since the budget was read; then nothing is left free.
    ContextChoice made(const Fit& fit) const {
        return {fit.plan, native_, fit.all_bytes - fit.plan.total_bytes(),
                budget_.available_bytes - std::min(budget_.available_bytes, fit.all_bytes)};
    }

    tl::unexpected<Error> refuse(uint32_t n_ctx) const {
        SessionShape shape = wish_.shape;
        shape.n_ctx = n_ctx;
        const auto need = plan_file(file_, shape);
        if (!need) return tl::unexpected(need.error());
        const uint64_t there = budget_.available_bytes - std::min(budget_.available_bytes, wish_.keep_free_bytes);
        uint64_t needed = need->total_bytes() + backend_.overhead_bytes();
        std::string draft_text;
        if (wish_.draft != nullptr) {
            ATLAS_TRY(const MemoryPlan draft, need_of_draft(n_ctx));
            const uint64_t alone_bytes =
                std::exchange(needed, together(*need, draft).total_bytes() + backend_.overhead_bytes());
            draft_text = fmt::format(", {} for the draft {}", bytes_text(needed - alone_bytes),
                                     wish_.draft->path().filename().string());
        }
        std::string text = fmt::format(
            "{}: {} tokens of context do not fit: {} are needed (weights {}, {} cache {}, scratch {}, the rest {}{}) "
            "and {} are there{}.",
            file_.path().filename().string(), need->n_ctx, bytes_text(needed), bytes_text(need->weights_bytes),
            name_of(shape.kv_format), bytes_text(need->kv_bytes), bytes_text(need->scratch_bytes),
            bytes_text(need->step_bytes + need->output_bytes + backend_.overhead_bytes()), draft_text,
            bytes_text(there),
            wish_.keep_free_bytes > 0 ? fmt::format(" ({} kept free as asked)", bytes_text(wish_.keep_free_bytes))
                                      : "");
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
            if (is_asked && !text.empty()) continue;
            auto fit = is_asked ? std::nullopt : fitting(n_ctx, kv, wish_.keep_free_bytes);
            if (!fit) fit = fitting_up_to(n_ctx, kv);
            if (fit)
                text += fmt::format("\n  --ctx {} --kv {:<6} ({} in all)", fit->plan.n_ctx, name_of(kv),
                                    bytes_text(fit->all_bytes));
        }
        if (wish_.draft == nullptr) return text;
        auto plan = alone(n_ctx, asked, wish_.keep_free_bytes);
        if (!plan) plan = alone(0, asked, wish_.keep_free_bytes);
        if (plan) {
            text += fmt::format("\n  --draft none --ctx {} --kv {:<6} ({} in all)", plan->n_ctx, name_of(asked),
                                bytes_text(plan->total_bytes()));
        }
        return text;
    }

    std::optional<Fit> fitting_up_to(uint32_t n_ctx, const KvFormats& kv) const {
        const auto fit = [&](uint32_t pages) { return fitting(pages * kPageTokens, kv, wish_.keep_free_bytes); };
        const uint32_t most =
            largest_fitting(0, pages_for(n_ctx) - 1, [&](uint32_t pages) { return fit(pages).has_value(); });
        return most > 0 ? fit(most) : std::nullopt;
    }

    std::string smaller_model(uint32_t n_ctx, uint64_t there) const {
        PlanRequest request;
        request.available_bytes = there;
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
    const Backend& backend_;
    const ContextWish& wish_;
    const Catalogue& catalogue_;
    uint32_t native_;
    MemoryBudget budget_;
};

}  // namespace

Result<SessionShape> draft_session(const gguf::File& draft, uint32_t n_ctx, const KvFormats& kv) {
    ATLAS_TRY(const Architecture* architecture, find_architecture(draft));
    ATLAS_TRY(const ModelConfig config, architecture->read_config(FileKeys(draft)));
    SessionShape shape;
    shape.n_ctx = std::min(n_ctx, config.n_ctx_train);
    shape.kv_format = fits_heads(kv, config) ? kv : KvFormats(Format::f16);
    return shape;
}

Result<ContextChoice> choose_context(const gguf::File& file, const Backend& backend, const ContextWish& wish,
                                     const Catalogue& catalogue) {
    // Errors other than memory hold for every context. They are found here, so that later only memory can be the
    // reason.
    SessionShape one = wish.shape;
    one.n_ctx = 1;
    ATLAS_TRY_VOID(plan_file(file, one).map([](const auto&) {}));
    if (wish.draft != nullptr) {
        const auto shape = draft_session(*wish.draft, 1, wish.shape.kv_format);
        const auto plan = shape ? plan_file(*wish.draft, *shape) : tl::unexpected(shape.error());
        if (!plan) return fail_in(wish.draft->path().string(), plan.error());
    }
    ATLAS_TRY(const Architecture* architecture, find_architecture(file));
    ATLAS_TRY(const ModelConfig config, architecture->read_config(FileKeys(file)));
    return ContextChooser(file, backend, wish, catalogue, config.n_ctx_train).choose();
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
