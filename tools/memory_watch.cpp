#include "tools/memory_watch.h"

#include "tools/messages.h"

namespace atlas::tools {

namespace {

BudgetWatch::GivenBack shrink(Session& session, Speculators* speculation, uint64_t bytes) {
    const auto tell = [](const Error& error) { warning("the cache could not be made smaller: {}", error.message); };
    const auto of_draft = speculation != nullptr ? speculation->shrink(bytes) : Result<uint64_t>(0);
    if (!of_draft) tell(of_draft.error());
    BudgetWatch::GivenBack given{of_draft.value_or(0), ""};
    if (given.bytes > 0) given.effect = "the draft's cache is smaller now";
    if (given.bytes >= bytes) return given;
    const uint32_t before = session.n_ctx();
    const auto of_session = session.shrink(bytes - given.bytes);
    if (!of_session) tell(of_session.error());
    given.bytes += of_session.value_or(0);
    if (session.n_ctx() == before) return given;
    given.effect += fmt::format("{}the context holds {} tokens now, no longer {}", given.effect.empty() ? "" : ", ",
                                session.n_ctx(), before);
    return given;
}

}  // namespace

std::unique_ptr<BudgetWatch> watch_memory(const Backend& backend, Session* session, Speculators* speculation) {
    BudgetWatch::GiveBack give_back;
    if (session != nullptr)
        give_back = [session, speculation](uint64_t bytes) { return shrink(*session, speculation, bytes); };
    return std::make_unique<BudgetWatch>(backend, print_warning, std::move(give_back));
}

}  // namespace atlas::tools
