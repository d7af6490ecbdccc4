#pragma once
// What a running model does when other programs take the device's memory.

#include <memory>

#include "runtime/planner/budget_watch.h"
#include "runtime/session/single/session.h"
#include "runtime/session/speculation/speculation.h"

namespace atlas::tools {

/// Warns on stderr. With a session, its cache shrinks first, and before it that of the draft, if `speculation` has one:
/// that costs only speed. All three must outlive the watch; the last two may be null.
std::unique_ptr<BudgetWatch> watch_memory(const Backend& backend, Session* session, Speculators* speculation);

}  // namespace atlas::tools
