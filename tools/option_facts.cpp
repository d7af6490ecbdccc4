#include "tools/option_facts.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace atlas::tools {
namespace {

// "TEXT:{a,b,c}" as the parser writes the type of an option that takes one of a list.
std::vector<std::string> choices_in(const std::string& type) {
    const size_t begin = type.find('{'), end = type.find('}');
    std::vector<std::string> choices;
    if (begin == std::string::npos || end == std::string::npos || end < begin) return choices;
    std::string_view rest = std::string_view(type).substr(begin + 1, end - begin - 1);
    while (!rest.empty()) {
        const size_t comma = std::min(rest.find(','), rest.size());
        choices.emplace_back(rest.substr(0, comma));
        rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
    return choices;
}

bool names_a_model(const OptionFacts& option) {
    constexpr std::array<std::string_view, 2> kNames = {"--model", "--draft"};
    return std::ranges::any_of(
        option.names, [&](const std::string& name) { return std::ranges::find(kNames, name) != kNames.end(); });
}

OptionFacts facts_of(const CLI::Option& option) {
    OptionFacts facts;
    for (const std::string& name : option.get_snames()) facts.names.push_back("-" + name);
    for (const std::string& name : option.get_lnames()) facts.names.push_back("--" + name);
    if (option.get_positional()) facts.positional = option.get_name(true);
    facts.description = option.get_description();
    facts.takes_value = option.get_items_expected_max() > 0;
    facts.takes_many = facts.takes_value && option.get_expected_max() > 1;
    facts.is_required = option.get_required();
    if (facts.takes_value) facts.value = option.get_type_name();
    facts.standard = option.get_default_str();
    facts.choices = choices_in(facts.value);
    facts.takes_model = names_a_model(facts);
    return facts;
}

}  // namespace

std::vector<OptionFacts> options_of(const CLI::App& command) {
    std::vector<OptionFacts> all;
    for (const CLI::Option* option : command.get_options()) {
        if (!option->get_group().empty()) all.push_back(facts_of(*option));  // one without a group is hidden
    }
    return all;
}

std::vector<const CLI::App*> commands_of(const CLI::App& app) {
    return app.get_subcommands([](const CLI::App* command) { return !command->get_group().empty(); });
}

}  // namespace atlas::tools
