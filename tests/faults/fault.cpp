#include "tests/faults/fault.h"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

namespace atlas::faults {
namespace {

struct Wish {
    std::string function;
    uint32_t first = 0;
    bool all_after = false;
    std::string text;  // as it was given
    Fault fault;
};

struct Plan {
    std::mutex mutex;
    std::vector<Wish> wishes;
    std::map<std::string, uint32_t, std::less<>> calls;
    std::atomic<bool> lost{false}, hangs{false}, shrank{false};
    Plan();
};

[[noreturn]] void refuse(const std::string& wish) {
    std::fprintf(stderr, "ATLAS_FAULT: '%s' is no fault (tests/faults/fault.h)\n", wish.c_str());
    std::abort();
}

std::optional<Fault> fault_of(std::string_view what) {
    static const std::map<std::string_view, Fault> kKnown = {
        {"lost", {What::lost}},
        {"lost-done", {What::lost_done}},
        {"hang", {What::hang}},
        {"late", {What::late}},
        {"never", {What::never}},
        {"skip", {What::skip}},
        {"shrink", {What::shrink}},
        {"VK_TIMEOUT", {What::result, VK_TIMEOUT}},
        {"VK_ERROR_OUT_OF_HOST_MEMORY", {What::result, VK_ERROR_OUT_OF_HOST_MEMORY}},
        {"VK_ERROR_OUT_OF_DEVICE_MEMORY", {What::result, VK_ERROR_OUT_OF_DEVICE_MEMORY}},
        {"VK_ERROR_OUT_OF_POOL_MEMORY", {What::result, VK_ERROR_OUT_OF_POOL_MEMORY}},
        {"VK_ERROR_INITIALIZATION_FAILED", {What::result, VK_ERROR_INITIALIZATION_FAILED}},
        {"VK_ERROR_MEMORY_MAP_FAILED", {What::result, VK_ERROR_MEMORY_MAP_FAILED}},
        {"VK_ERROR_UNKNOWN", {What::result, VK_ERROR_UNKNOWN}},
    };
    const auto found = kKnown.find(what);
    return found == kKnown.end() ? std::nullopt : std::optional(found->second);
}

Wish parse(const std::string& text) {
    const size_t first = text.find(':'), second = text.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) refuse(text);
    Wish wish{.function = text.substr(0, first), .first = 0, .all_after = false, .text = text, .fault = {}};
    std::string count = text.substr(first + 1, second - first - 1);
    wish.all_after = count.ends_with('+');
    if (wish.all_after) count.pop_back();
    const auto read = std::from_chars(count.data(), count.data() + count.size(), wish.first);
    const auto fault = fault_of(std::string_view(text).substr(second + 1));
    if (read.ec != std::errc() || read.ptr != count.data() + count.size() || wish.first == 0 || !fault) refuse(text);
    wish.fault = *fault;
    return wish;
}

Plan::Plan() {
    const char* given = std::getenv("ATLAS_FAULT");
    std::string rest = given ? given : "";
    while (!rest.empty()) {
        const size_t end = std::min(rest.find(';'), rest.size());
        if (end > 0) wishes.push_back(parse(rest.substr(0, end)));
        rest.erase(0, end + 1);
    }
}

Plan& plan() {
    static Plan* const made = new Plan;  // never destroyed: the driver's threads may outlive main
    return *made;
}

void log_line(const std::string& line) {
    const char* path = std::getenv("ATLAS_FAULT_LOG");
    if (!path) return;
    if (std::FILE* file = std::fopen(path, "a")) {
        std::fprintf(file, "%s\n", line.c_str());
        std::fclose(file);
    }
}

}  // namespace

std::optional<Fault> count_call(std::string_view function) {
    Plan& p = plan();
    const std::lock_guard lock(p.mutex);
    const auto place = p.calls.try_emplace(std::string(function), 0).first;
    const uint32_t n = ++place->second;
    for (const Wish& wish : p.wishes) {
        if (wish.function != function || (wish.all_after ? n < wish.first : n != wish.first)) continue;
        if (n == wish.first) log_line("fault " + wish.text);
        return wish.fault;
    }
    return {};
}

std::optional<VkResult> fails_with(std::string_view function) {
    const auto fault = count_call(function);
    if (!fault) return {};
    if (fault->what == What::result) return fault->result;
    lose_device();
    return VK_ERROR_DEVICE_LOST;
}

void lose_device() { plan().lost = true; }
bool device_lost() { return plan().lost; }
void hang_device() { plan().hangs = true; }
bool device_hangs() { return plan().hangs; }
void shrink_budget() { plan().shrank = true; }
bool budget_shrank() { return plan().shrank; }

void log_counts() {
    Plan& p = plan();
    const std::lock_guard lock(p.mutex);
    for (const auto& [function, n] : p.calls) log_line("calls " + function + " " + std::to_string(n));
}

}  // namespace atlas::faults
