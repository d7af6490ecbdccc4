#include "tools/progress_bar.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <string_view>

#include "runtime/base/in_quotes.h"
#include "runtime/base/units.h"

namespace atlas::tools {

namespace {

constexpr size_t kWidestBar = 30;
constexpr size_t kNarrowestBar = 10;

// Characters of three bytes and more count as two columns, as Chinese and emoji take: a line may be shorter than it could, never longer.
size_t columns_of(std::string_view text) {
    size_t columns = 0;
    while (!text.empty()) {
        const size_t bytes = std::max<size_t>(utf8_length(text), 1);
        columns += bytes >= 3 ? 2 : 1;
        text.remove_prefix(bytes);
    }
    return columns;
}

// The beginning of a text, with "..." where something is missing.
std::string cut(std::string_view text, size_t columns) {
    if (columns_of(text) <= columns) return std::string(text);
    const size_t room = columns > 3 ? columns - 3 : 0;
    std::string out;
    for (size_t used = 0; !text.empty();) {
        const size_t bytes = std::max<size_t>(utf8_length(text), 1);
        used += bytes >= 3 ? 2 : 1;
        if (used > room) break;
        out += text.substr(0, bytes);
        text.remove_prefix(bytes);
    }
    return out + std::string(std::min<size_t>(columns, 3), '.');
}

std::string amount_text(const Progress& p) {
    const auto number = [&](uint64_t n) { return p.unit.empty() ? bytes_text(n) : fmt::format("{}", n); };
    std::string text = p.total ? fmt::format("{} of {}", number(p.done), number(*p.total)) : number(p.done);
    if (!p.unit.empty()) text += " " + p.unit;
    return text;
}

std::string speed_text(const Progress& p) {
    if (p.per_second <= 0) return "";
    if (p.unit.empty()) return bytes_text(static_cast<uint64_t>(p.per_second)) + "/s";
    return fmt::format("{:.{}f} {}/s", p.per_second, p.per_second < 10 ? 1 : 0, p.unit);
}

std::string left_text(const Progress& p) {
    if (!p.total || p.per_second <= 0 || p.done >= *p.total) return "";
    return duration_text(static_cast<double>(*p.total - p.done) / p.per_second) + " left";
}

double share_of(const Progress& p) {
    if (!p.total || *p.total == 0) return 1.0;
    return std::min(1.0, static_cast<double>(p.done) / static_cast<double>(*p.total));
}

std::string bar_text(double share, size_t width) {
    const auto full = static_cast<size_t>(share * static_cast<double>(width));
    return fmt::format(" [{}{}]", std::string(full, '#'), std::string(width - full, '.'));
}

}  // namespace

std::string progress_line(const Progress& p, size_t columns) {
    const std::string percent = p.total ? fmt::format(" {:3.0f} %", share_of(p) * 100) : "";
    const std::array<std::string, 3> parts = {amount_text(p), left_text(p), speed_text(p)};  // in the order in which they get room
    size_t all = percent.size();
    for (const std::string& part : parts) all += part.empty() ? 0 : part.size() + 2;
    const size_t bar = p.total ? kNarrowestBar + 3 : 0;
    const std::string label = cut(printable(p.label, 200), std::max(columns / 3, columns - std::min(columns, all + bar)));

    std::string tail = percent;
    for (size_t i = 0; i < parts.size(); ++i) {
        // The amount matters more than a bar; what follows does not.
        const size_t taken = columns_of(label) + tail.size() + (i == 0 ? 0 : bar);
        if (parts[i].empty()) continue;
        if (taken + parts[i].size() + 2 > columns) break;
        tail += (i == 0 ? "  " : ", ") + parts[i];
    }
    const size_t left = columns - std::min(columns, columns_of(label) + tail.size());
    const std::string drawn = p.total && left >= bar ? bar_text(share_of(p), std::min(kWidestBar, left - 3)) : "";
    return cut(label + drawn + tail, columns);
}

size_t terminal_columns() {
    winsize size = {};
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
    return size.ws_col;
}

ProgressBar::ProgressBar(std::string label, ProgressStyle style)
    : style_(std::move(style)), label_(std::move(label)), terminal_(isatty(STDERR_FILENO) != 0), start_(Clock::now()), drawn_at_(start_) {}

void ProgressBar::start(std::string label) {
    wipe();
    label_ = std::move(label);
    start_ = drawn_at_ = Clock::now();
    first_.reset();
}

double ProgressBar::seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

void ProgressBar::show(uint64_t done, std::optional<uint64_t> total) {
    if (!first_) first_ = done;
    if (!terminal_ && style_.line_every.count() == 0) return;
    const auto now = Clock::now();
    const auto pause = terminal_ ? std::chrono::milliseconds(100) : style_.line_every;
    const bool is_whole = total && done >= *total;
    const bool is_first_too = drawn_at_ == start_;
    if (is_first_too && now - start_ < (terminal_ ? style_.quiet_for : style_.line_every)) return;
    if (!is_first_too && !is_whole && now - drawn_at_ < pause) return;
    drawn_at_ = now;
    const double passed = seconds();
    // The first tenths of a second tell no speed.
    const double speed = passed > 0.2 && done > *first_ ? static_cast<double>(done - *first_) / passed : 0;
    const Progress progress{label_, style_.unit, done, total, speed};
    if (terminal_) {
        // The last column stays free: some terminals go to the next line when it is written.
        fmt::print(stderr, "\r{}\033[K", progress_line(progress, terminal_columns() - 1));
    } else {
        fmt::print(stderr, "{}\n", progress_line(progress, 120));
    }
    is_drawn_ = terminal_;
    std::fflush(stderr);
}

void ProgressBar::wipe() {
    if (is_drawn_) fmt::print(stderr, "\r\033[K");
    is_drawn_ = false;
}

void ProgressBar::keep() {
    if (is_drawn_) fmt::print(stderr, "\n");
    is_drawn_ = false;
}

}  // namespace atlas::tools
