#pragma once
// The target of `atlas-vk plan`: a card of the catalogue, a card of which only the memory is known, or this machine's
// device.

#include <filesystem>
#include <string>

#include "tools/plan_report.h"

namespace atlas::tools {

struct TargetFlags {
    std::string card, vram, device, keep_free;
    double bandwidth_gbps = 0;
    bool headless = false, measure = false, no_measure = false;
};

/// The parsed flags. Callers that have a catalogue look up the card.
struct TargetWish {
    const Card* card = nullptr;
    std::string device;
    uint64_t vram_bytes = 0;  // 0: not given
    uint64_t keep_free_bytes = 0;
    double bandwidth_gbps = 0;  // 0: not given
    bool headless = false, measure = false, no_measure = false;
};

/// Fails: invalid_argument (flags that make no sense, alone or together). Opens nothing.
Result<TargetWish> check_target(const TargetFlags& flags);

/// `kept`: the file with this machine's measured speeds. Fails: no_device and what opening it can.
Result<Chosen> choose_target(const Catalogue& catalogue, const TargetWish& wish, const std::filesystem::path& kept);

}  // namespace atlas::tools
