#pragma once
// What `atlas-vk plan` prints: tables, the picture of the card's memory, JSON.

#include <string>
#include <vector>

#include "runtime/planner/choose.h"

namespace atlas::tools {

/// The card or device that the plan is for.
struct PlanTarget {
    std::string name;  // "RTX 3090", "llvmpipe ..., this machine"
    uint64_t total_bytes = 0;
    uint64_t available_bytes = 0;
    double watts = 0;
    std::string note;                         // why available is less than total
    uint64_t max_storage_bytes = UINT64_MAX;  // of one allocation
};

struct PlanPrices {
    double usd_per_kwh = 0;          // 0: energy is not shown
    double api_usd_per_million = 0;  // 0: no comparison
};

/// The command that runs a choice, in pieces that may stand on lines of their own; without a file it pulls the model
/// first. `file`: path of the file that was planned, or empty. Returns nothing if this version cannot run it, or no
/// file of it is known.
std::vector<std::string> command_of(const PlanChoice& choice, const std::string& file);

/// Broken at spaces into lines of at most 100 columns, all but the first one indented; each ends with a line break.
std::string wrapped(const std::string& text, size_t indent);

/// One line of `width` characters: weights, cache, scratch, draft, free in proportion, and a legend with bytes below
/// it.
std::string memory_picture(const PlanChoice& choice, const PlanTarget& target, size_t width);

/// The target of the plan, with its speed.
struct Chosen {
    PlanTarget target;
    SpeedFactors speed;
};

/// `file`: path of the file that was planned, or empty. `is_named`: of one model that was asked for.
void print_choices(const std::vector<PlanChoice>& choices, const Chosen& chosen, const PlanPrices& prices,
                   const std::string& file, bool is_named);
void print_trades(const std::vector<KvTrade>& trades, const PlanChoice& choice);
std::string choices_json(const std::vector<PlanChoice>& choices, const std::vector<KvTrade>& trades,
                         const Chosen& chosen, const PlanPrices& prices, const std::string& file);

}  // namespace atlas::tools
