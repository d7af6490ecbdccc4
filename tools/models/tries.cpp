#include "tools/models/tries.h"

#include <algorithm>
#include <thread>

#include "runtime/base/units.h"

namespace atlas::tools {
namespace {

using Clock = std::chrono::steady_clock;

// Waits; false when the user asked to stop meanwhile.
bool pause(std::chrono::milliseconds time, const std::stop_token& stop) {
    for (const auto end = Clock::now() + time; Clock::now() < end;) {
        if (stop.stop_requested()) return false;
        std::this_thread::sleep_for(std::min<Clock::duration>(std::chrono::milliseconds(50), end - Clock::now()));
    }
    return !stop.stop_requested();
}

}  // namespace

Result<void> with_tries(const DownloadOptions& options, const std::string& what,
                        const std::function<Outcome()>& attempt, const std::function<uint64_t()>& progress) {
    auto wait = options.first_pause;
    for (int number = 1;;) {
        const uint64_t before = progress();
        const Outcome outcome = attempt();
        if (outcome.kind == Outcome::Kind::done) return {};
        if (outcome.kind == Outcome::Kind::failed)
            return tl::unexpected(Error{outcome.error.code, fmt::format("{}: {}", what, outcome.error.message)});
        if (progress() > before) {
            number = 1;
            wait = options.first_pause;
        }
        if (++number > options.tries)
            return fail(ErrorCode::network, "{}: {}; gave up after {} tries. Run it again to continue from there", what,
                        outcome.error.message, options.tries);
        if (options.on_note)
            options.on_note(fmt::format("{}; try {} of {} in {}", outcome.error.message, number, options.tries,
                                        duration_text(static_cast<double>(wait.count()) / 1000)));
        if (!pause(wait, options.stop)) return fail(ErrorCode::cancelled, "{}: stopped", what);
        wait *= 2;
    }
}

}  // namespace atlas::tools
