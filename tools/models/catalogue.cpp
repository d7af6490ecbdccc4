#include "tools/models/catalogue.h"

#include "runtime/base/in_quotes.h"
#include "runtime/base/user_dirs.h"
#include "tools/models/environment.h"

namespace atlas::tools {

Result<Catalogue> user_catalogue() {
    const auto dirs = user_dirs(system_environment);
    std::string damaged;
    auto catalogue = load_catalogue(dirs ? dirs->config / "catalogue.json" : std::filesystem::path(), &damaged);
    if (!damaged.empty())
        fmt::print(stderr, "atlas-vk: warning: {}\n",
                   printable(damaged, 2000));  // as tools/messages.h, which this library does not have
    return catalogue;
}

std::string source_of(const CatalogueModel& model, std::string_view quant) {
    if (!model.pull.empty()) return model.pull;
    return model.gguf.empty() ? "" : fmt::format("hf:{}:{}", model.gguf, quant);
}

}  // namespace atlas::tools
