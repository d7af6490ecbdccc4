#include "tools/plan_target.h"

#include <algorithm>
#include <chrono>
#include <optional>

#include "runtime/base/in_quotes.h"
#include "runtime/base/units.h"
#include "runtime/vk/device_title.h"
#include "runtime/vk/instance.h"
#include "runtime/vk/quirks.h"
#include "runtime/vk/slab_size.h"
#include "tools/calibrate.h"
#include "tools/messages.h"
#include "tools/progress_bar.h"

namespace atlas::tools {

namespace {

constexpr double kUsualSeconds = 6;  // of measuring an idle software device; a card takes less
constexpr uint64_t kSmallestCard = 256 * kMiB;

// The memory of an absent card that a model does not get.
struct Reserve {
    uint64_t driver_bytes = 0;  // used by the driver, or never handed out
    uint64_t desktop_bytes =
        0;  // a compositor and a browser: 3 % of the card, at least half a GiB, of which the driver's share counts
};

Reserve reserve_of(const Card& card, bool headless) {
    constexpr uint64_t kDriverBytes = 128 * kMiB;
    // Without a desktop a driver hands out all but its own use (RADV: heap less usage). The shares of the catalogue are
    // those of desktop systems, except for memory that is the system's.
    const bool shared = card.budget_share < 0.95;
    const auto kept = static_cast<uint64_t>(double(card.memory_bytes) * (1 - card.budget_share));
    if (headless) return {shared ? kept : std::min(kDriverBytes, card.memory_bytes), 0};
    const uint64_t all = std::min(card.memory_bytes, std::max({kGiB / 2, card.memory_bytes * 3 / 100, kept}));
    return {std::min(kDriverBytes, all), all - std::min(kDriverBytes, all)};
}

Chosen of_card(const Catalogue& catalogue, const Card& card, bool headless) {
    const Reserve reserve = reserve_of(card, headless);
    Chosen chosen;
    chosen.target.name = card.name;
    chosen.target.total_bytes = card.memory_bytes;
    chosen.target.available_bytes = card.memory_bytes - reserve.driver_bytes - reserve.desktop_bytes;
    chosen.target.watts = card.watts;
    chosen.target.note =
        headless ? fmt::format("{} kept for the driver, none for a desktop", bytes_text(reserve.driver_bytes))
                 : fmt::format("{} kept for the desktop, {} for the driver; without a desktop: --headless",
                               bytes_text(reserve.desktop_bytes), bytes_text(reserve.driver_bytes));
    chosen.speed = factors_of(catalogue, card);
    return chosen;
}

// A card of which only the memory is known. Its speed is that of no known card: either its bandwidth is given, or the
// band spans the cards with about this memory.
Chosen of_memory(const Catalogue& catalogue, const TargetWish& wish) {
    Card card;
    card.name = fmt::format("a card of {}", bytes_text(wish.vram_bytes));
    card.memory_bytes = wish.vram_bytes;
    card.budget_share = 0.95;  // of the least generous driver
    Chosen chosen = of_card(catalogue, card, wish.headless);
    const Card *slowest = nullptr, *fastest = nullptr;
    for (const Card& known : catalogue.cards) {
        const double share = double(known.memory_bytes) / double(wish.vram_bytes);
        if (share < 0.85 || share > 1.15) continue;
        if (slowest == nullptr || known.bandwidth_gbps < slowest->bandwidth_gbps) slowest = &known;
        if (fastest == nullptr || known.bandwidth_gbps > fastest->bandwidth_gbps) fastest = &known;
    }
    if (wish.bandwidth_gbps > 0) {
        chosen.speed.bandwidth_gbps = wish.bandwidth_gbps;
        chosen.speed.matrix_tflops = wish.bandwidth_gbps / 8;  // of about what cards have: 100 TFLOPS at 800 GB/s
        chosen.speed.source =
            fmt::format("a memory of {:g} GB/s as given; {}", wish.bandwidth_gbps, chosen.speed.source);
    } else if (slowest != nullptr) {
        chosen.speed = factors_between(catalogue, *slowest, *fastest);
        chosen.speed.source = fmt::format(
            "anywhere between the slowest and the fastest card of about {} ({}, {:g} GB/s, and {}, {:g} GB/s); say "
            "--card NAME or "
            "--bandwidth GB/s for a narrower band",
            bytes_text(wish.vram_bytes), printable(slowest->name), slowest->bandwidth_gbps, printable(fastest->name),
            fastest->bandwidth_gbps);
    } else {
        // The order of choices does not depend on the absolute speed.
        chosen.speed.bandwidth_gbps = chosen.speed.matrix_tflops = 100;
        chosen.speed.unknown = true;
        chosen.speed.source = fmt::format("not known: no card of the catalogue has about {}; say --bandwidth GB/s",
                                          bytes_text(wish.vram_bytes));
    }
    return chosen;
}

// The factors of this device: kept ones, or measured now and kept.
Result<SpeedFactors> measured_factors(const vk::DeviceCaps& device, const std::string& wish,
                                      const std::filesystem::path& kept, bool again) {
    const std::string key = calibration_key(device);
    if (!again) {
        if (const auto factors = read_calibration(kept, key)) return *factors;
    }
    note("measuring this device ...");
    ProgressBar bar("measuring", {.unit = "parts", .quiet_for = std::chrono::milliseconds(300)});
    const auto progress = [&bar](uint32_t done, uint32_t total) { bar.show(done, total); };
    VkBackendOptions options;
    options.device = wish;
    if (!kept.empty())
        options.pipeline_cache = kept.parent_path() / "pipelines";  // what is compiled here need not be again
    ATLAS_TRY(const auto backend, make_vk_backend(options));
    const auto start = std::chrono::steady_clock::now();
    ATLAS_TRY(const SpeedFactors factors, calibrate(*backend, progress));
    bar.wipe();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (const auto done = keep_calibration(kept, key, factors); !done)
        warning("{}", done.error().message);
    else
        note("measured in {:.1f} s{}; kept in {}", seconds,
             seconds > 3 * kUsualSeconds
                 ? ": other programs were running; `atlas-vk plan --measure` again when the machine is idle"
                 : "",
             printable(kept.string(), 400));
    return factors;
}

Result<Chosen> of_this_machine(const Catalogue& catalogue, const TargetWish& wish, const std::filesystem::path& kept) {
    ATLAS_TRY(const auto instance, vk::Instance::create({}));
    ATLAS_TRY(const auto entries, instance.devices());
    std::vector<vk::DeviceCaps> caps;
    for (const vk::DeviceEntry& entry : entries) caps.push_back(entry.caps);
    ATLAS_TRY(const vk::DeviceChoice choice, vk::choose_device(caps, wish.device));
    const vk::DeviceCaps& device = caps[choice.index];
    const vk::Quirks quirks = vk::quirks_for(device);
    const vk::MainHeap main = vk::main_heap(device);
    if (!main.found) return fail(ErrorCode::no_device, "{} reports no memory", printable(device.name));
    const vk::HeapState heap = vk::heap_state(device.heaps[main.index], 0, quirks, std::nullopt, true);
    Chosen chosen;
    if (const Card* card = catalogue.card_of_device(device.name, heap.total_bytes))
        chosen = of_card(catalogue, *card, false);
    Result<SpeedFactors> factors = tl::unexpected(Error{});
    if (!wish.no_measure) {
        factors = measured_factors(device, wish.device, kept, wish.measure);
        if (!factors)
            warning("this device could not be measured ({}): speeds are those of its class", factors.error().message);
    }
    if (factors) {
        chosen.speed = *factors;
    } else if (chosen.speed.bandwidth_gbps == 0) {
        // A device that is not in the catalogue: its class follows from its properties.
        Card unknown;
        unknown.bandwidth_gbps = quirks.slow ? 10 : device.type == vk::DeviceType::discrete ? 300 : 60;
        unknown.fp32_tflops = quirks.slow ? 0.05 : 5;
        chosen.speed = factors_of(catalogue, unknown);
        chosen.speed.band = chosen.speed.band_other = chosen.speed.prefill_band = {0.2, 3};
        chosen.speed.unknown = !quirks.slow;
        chosen.speed.source = "a rough estimate: this device is not in the catalogue and was not measured";
    }
    chosen.target.name = printable(vk::device_title(device), 200);
    chosen.target.total_bytes = heap.total_bytes;
    chosen.target.available_bytes = heap.available_bytes;
    chosen.target.max_storage_bytes = quirks.max_slab_bytes;
    chosen.target.note =
        fmt::format("{} used by other programs, the driver's budget and a margin kept", bytes_text(heap.used_bytes));
    return chosen;
}

}  // namespace

Result<TargetWish> check_target(const TargetFlags& flags) {
    const int targets = !flags.card.empty() + !flags.vram.empty() + !flags.device.empty();
    if (targets > 1) return fail(ErrorCode::invalid_argument, "--card, --vram and --device: give one of them");
    const bool elsewhere = !flags.card.empty() || !flags.vram.empty();
    if (flags.headless && !elsewhere) {
        return fail(ErrorCode::invalid_argument,
                    "--headless is for a card that is not here: give --card NAME or --vram SIZE, too. Of this "
                    "machine's card the "
                    "driver says how much is in use, a desktop's share with it");
    }
    if (flags.bandwidth_gbps > 0 && flags.vram.empty())
        return fail(ErrorCode::invalid_argument, "--bandwidth goes with --vram: a card has its own");
    if ((flags.measure || flags.no_measure) && elsewhere) {
        return fail(ErrorCode::invalid_argument,
                    "--measure and --no-measure are for this machine: they do not go with --card and --vram");
    }
    if (flags.measure && flags.no_measure)
        return fail(ErrorCode::invalid_argument, "--measure and --no-measure: give one of them");
    TargetWish wish{.device = flags.device,
                    .bandwidth_gbps = flags.bandwidth_gbps,
                    .headless = flags.headless,
                    .measure = flags.measure,
                    .no_measure = flags.no_measure};
    if (!flags.vram.empty()) {
        ATLAS_TRY(wish.vram_bytes, parse_bytes(flags.vram));
        if (wish.vram_bytes < kSmallestCard) {
            return fail(ErrorCode::invalid_argument, "--vram {}: {} is no card's memory; expected something like 12G",
                        printable(flags.vram), bytes_text(wish.vram_bytes));
        }
    }
    if (!flags.keep_free.empty()) {
        ATLAS_TRY(wish.keep_free_bytes, parse_bytes(flags.keep_free));
    }
    return wish;
}

Result<Chosen> choose_target(const Catalogue& catalogue, const TargetWish& wish, const std::filesystem::path& kept) {
    Chosen chosen;
    if (wish.card != nullptr) {
        chosen = of_card(catalogue, *wish.card, wish.headless);
    } else if (wish.vram_bytes > 0) {
        chosen = of_memory(catalogue, wish);
    } else {
        ATLAS_TRY(chosen, of_this_machine(catalogue, wish, kept));
    }
    if (wish.keep_free_bytes > 0) {
        chosen.target.available_bytes -= std::min(wish.keep_free_bytes, chosen.target.available_bytes);
        chosen.target.note += fmt::format("; {} kept free as asked", bytes_text(wish.keep_free_bytes));
    }
    return chosen;
}

}  // namespace atlas::tools
