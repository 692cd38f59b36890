# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_logcatch_global_optspecs
    string join \n config= h/help V/version
end

function __fish_logcatch_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_logcatch_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_logcatch_using_subcommand
    set -l cmd (__fish_logcatch_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c logcatch -n "__fish_logcatch_needs_command" -l config -d 'The settings file [default: $LOGCATCH_CONFIG, else /etc/logcatch/logcatch.toml]' -r -F
complete -c logcatch -n "__fish_logcatch_needs_command" -s h -l help -d 'Print help'
complete -c logcatch -n "__fish_logcatch_needs_command" -s V -l version -d 'Print version'
complete -c logcatch -n "__fish_logcatch_needs_command" -f -a "run" -d 'Runs the service in the foreground, until SIGTERM or SIGINT'
complete -c logcatch -n "__fish_logcatch_needs_command" -f -a "check" -d 'Says whether the settings are good and what they would ship'
complete -c logcatch -n "__fish_logcatch_needs_command" -f -a "settings" -d 'Prints the settings that apply, and where each comes from; secrets as ***'
complete -c logcatch -n "__fish_logcatch_needs_command" -f -a "preview" -d 'Prints the records that a file would become: no Kafka, no positions'
complete -c logcatch -n "__fish_logcatch_needs_command" -f -a "status" -d 'Says how the running service stands: a verdict, then a row a file, worst first'
complete -c logcatch -n "__fish_logcatch_needs_command" -f -a "restart" -d 'Starts watchers anew, from their saved positions'
complete -c logcatch -n "__fish_logcatch_needs_command" -f -a "reload" -d 'Applies the settings file to the running service now, and says whether it was applied'
complete -c logcatch -n "__fish_logcatch_needs_command" -f -a "plan" -d 'Says what applying the settings file would start, stop and change in the running service'
complete -c logcatch -n "__fish_logcatch_needs_command" -f -a "positions" -d 'Lists or changes how far files are shipped: through the service, or on the store if none runs'
complete -c logcatch -n "__fish_logcatch_needs_command" -f -a "dead-letters" -d 'Lists the lines that Kafka refused for themselves, or sends them again'
complete -c logcatch -n "__fish_logcatch_needs_command" -f -a "demo" -d 'Shows the service at work on rotating logs and a broker in memory, faults included'
complete -c logcatch -n "__fish_logcatch_needs_command" -f -a "completions" -d 'Prints what completes these commands in a shell'
complete -c logcatch -n "__fish_logcatch_needs_command" -f -a "man" -d 'Writes the manual pages of these commands'
complete -c logcatch -n "__fish_logcatch_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c logcatch -n "__fish_logcatch_using_subcommand run" -l config -d 'The settings file [default: $LOGCATCH_CONFIG, else /etc/logcatch/logcatch.toml]' -r -F
complete -c logcatch -n "__fish_logcatch_using_subcommand run" -s h -l help -d 'Print help'
complete -c logcatch -n "__fish_logcatch_using_subcommand check" -l config -d 'The settings file [default: $LOGCATCH_CONFIG, else /etc/logcatch/logcatch.toml]' -r -F
complete -c logcatch -n "__fish_logcatch_using_subcommand check" -l broker -d 'Asks Kafka whether the topics can be used'
complete -c logcatch -n "__fish_logcatch_using_subcommand check" -l json -d 'Prints JSON'
complete -c logcatch -n "__fish_logcatch_using_subcommand check" -s h -l help -d 'Print help'
complete -c logcatch -n "__fish_logcatch_using_subcommand settings" -l config -d 'The settings file [default: $LOGCATCH_CONFIG, else /etc/logcatch/logcatch.toml]' -r -F
complete -c logcatch -n "__fish_logcatch_using_subcommand settings" -l json -d 'Prints JSON'
complete -c logcatch -n "__fish_logcatch_using_subcommand settings" -l schema -d 'Prints the JSON Schema of settings files instead'
complete -c logcatch -n "__fish_logcatch_using_subcommand settings" -s h -l help -d 'Print help'
complete -c logcatch -n "__fish_logcatch_using_subcommand preview" -l config -d 'The settings file [default: $LOGCATCH_CONFIG, else /etc/logcatch/logcatch.toml]' -r -F
complete -c logcatch -n "__fish_logcatch_using_subcommand preview" -l follow -d 'Goes on with what is appended'
complete -c logcatch -n "__fish_logcatch_using_subcommand preview" -l json -d 'Prints one JSON object a record, with topic, key and offset'
complete -c logcatch -n "__fish_logcatch_using_subcommand preview" -s h -l help -d 'Print help'
complete -c logcatch -n "__fish_logcatch_using_subcommand status" -l url -d 'The status page of a service, on this host or another: http://127.0.0.1:5642' -r
complete -c logcatch -n "__fish_logcatch_using_subcommand status" -l state -d 'The service\'s state directory [default: that of the settings file, which may be broken otherwise]' -r -F
complete -c logcatch -n "__fish_logcatch_using_subcommand status" -l config -d 'The settings file [default: $LOGCATCH_CONFIG, else /etc/logcatch/logcatch.toml]' -r -F
complete -c logcatch -n "__fish_logcatch_using_subcommand status" -l json -d 'Prints JSON; with --watch, a line each second'
complete -c logcatch -n "__fish_logcatch_using_subcommand status" -l watch -d 'Shows it live: s sorts, / filters, t leaves only trouble, q ends'
complete -c logcatch -n "__fish_logcatch_using_subcommand status" -s h -l help -d 'Print help'
complete -c logcatch -n "__fish_logcatch_using_subcommand restart" -l state -d 'The service\'s state directory [default: that of the settings file, which may be broken otherwise]' -r -F
complete -c logcatch -n "__fish_logcatch_using_subcommand restart" -l config -d 'The settings file [default: $LOGCATCH_CONFIG, else /etc/logcatch/logcatch.toml]' -r -F
complete -c logcatch -n "__fish_logcatch_using_subcommand restart" -l json -d 'Prints JSON'
complete -c logcatch -n "__fish_logcatch_using_subcommand restart" -s h -l help -d 'Print help'
complete -c logcatch -n "__fish_logcatch_using_subcommand reload" -l state -d 'The service\'s state directory [default: that of the settings file, which may be broken otherwise]' -r -F
complete -c logcatch -n "__fish_logcatch_using_subcommand reload" -l config -d 'The settings file [default: $LOGCATCH_CONFIG, else /etc/logcatch/logcatch.toml]' -r -F
complete -c logcatch -n "__fish_logcatch_using_subcommand reload" -l json -d 'Prints JSON'
complete -c logcatch -n "__fish_logcatch_using_subcommand reload" -s h -l help -d 'Print help'
complete -c logcatch -n "__fish_logcatch_using_subcommand plan" -l state -d 'The service\'s state directory [default: that of the settings file, which may be broken otherwise]' -r -F
complete -c logcatch -n "__fish_logcatch_using_subcommand plan" -l config -d 'The settings file [default: $LOGCATCH_CONFIG, else /etc/logcatch/logcatch.toml]' -r -F
complete -c logcatch -n "__fish_logcatch_using_subcommand plan" -l json -d 'Prints JSON'
complete -c logcatch -n "__fish_logcatch_using_subcommand plan" -s h -l help -d 'Print help'
complete -c logcatch -n "__fish_logcatch_using_subcommand positions; and not __fish_seen_subcommand_from list set reset help" -l config -d 'The settings file [default: $LOGCATCH_CONFIG, else /etc/logcatch/logcatch.toml]' -r -F
complete -c logcatch -n "__fish_logcatch_using_subcommand positions; and not __fish_seen_subcommand_from list set reset help" -s h -l help -d 'Print help'
complete -c logcatch -n "__fish_logcatch_using_subcommand positions; and not __fish_seen_subcommand_from list set reset help" -f -a "list" -d 'Prints every position, rotated files included'
complete -c logcatch -n "__fish_logcatch_using_subcommand positions; and not __fish_seen_subcommand_from list set reset help" -f -a "set" -d 'Moves the position in the file that is at PATH now'
complete -c logcatch -n "__fish_logcatch_using_subcommand positions; and not __fish_seen_subcommand_from list set reset help" -f -a "reset" -d 'Forgets positions: what is there is read from its beginning'
complete -c logcatch -n "__fish_logcatch_using_subcommand positions; and not __fish_seen_subcommand_from list set reset help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c logcatch -n "__fish_logcatch_using_subcommand positions; and __fish_seen_subcommand_from list" -l state -d 'The service\'s state directory [default: that of the settings file, which may be broken otherwise]' -r -F
complete -c logcatch -n "__fish_logcatch_using_subcommand positions; and __fish_seen_subcommand_from list" -l config -d 'The settings file [default: $LOGCATCH_CONFIG, else /etc/logcatch/logcatch.toml]' -r -F
complete -c logcatch -n "__fish_logcatch_using_subcommand positions; and __fish_seen_subcommand_from list" -l json -d 'Prints JSON'
complete -c logcatch -n "__fish_logcatch_using_subcommand positions; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c logcatch -n "__fish_logcatch_using_subcommand positions; and __fish_seen_subcommand_from set" -l state -d 'The service\'s state directory [default: that of the settings file, which may be broken otherwise]' -r -F
complete -c logcatch -n "__fish_logcatch_using_subcommand positions; and __fish_seen_subcommand_from set" -l config -d 'The settings file [default: $LOGCATCH_CONFIG, else /etc/logcatch/logcatch.toml]' -r -F
complete -c logcatch -n "__fish_logcatch_using_subcommand positions; and __fish_seen_subcommand_from set" -l json -d 'Prints JSON'
complete -c logcatch -n "__fish_logcatch_using_subcommand positions; and __fish_seen_subcommand_from set" -s h -l help -d 'Print help'
complete -c logcatch -n "__fish_logcatch_using_subcommand positions; and __fish_seen_subcommand_from reset" -l state -d 'The service\'s state directory [default: that of the settings file, which may be broken otherwise]' -r -F
complete -c logcatch -n "__fish_logcatch_using_subcommand positions; and __fish_seen_subcommand_from reset" -l config -d 'The settings file [default: $LOGCATCH_CONFIG, else /etc/logcatch/logcatch.toml]' -r -F
complete -c logcatch -n "__fish_logcatch_using_subcommand positions; and __fish_seen_subcommand_from reset" -l json -d 'Prints JSON'
complete -c logcatch -n "__fish_logcatch_using_subcommand positions; and __fish_seen_subcommand_from reset" -s h -l help -d 'Print help'
complete -c logcatch -n "__fish_logcatch_using_subcommand positions; and __fish_seen_subcommand_from help" -f -a "list" -d 'Prints every position, rotated files included'
complete -c logcatch -n "__fish_logcatch_using_subcommand positions; and __fish_seen_subcommand_from help" -f -a "set" -d 'Moves the position in the file that is at PATH now'
complete -c logcatch -n "__fish_logcatch_using_subcommand positions; and __fish_seen_subcommand_from help" -f -a "reset" -d 'Forgets positions: what is there is read from its beginning'
complete -c logcatch -n "__fish_logcatch_using_subcommand positions; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c logcatch -n "__fish_logcatch_using_subcommand dead-letters; and not __fish_seen_subcommand_from list resend help" -l config -d 'The settings file [default: $LOGCATCH_CONFIG, else /etc/logcatch/logcatch.toml]' -r -F
complete -c logcatch -n "__fish_logcatch_using_subcommand dead-letters; and not __fish_seen_subcommand_from list resend help" -s h -l help -d 'Print help'
complete -c logcatch -n "__fish_logcatch_using_subcommand dead-letters; and not __fish_seen_subcommand_from list resend help" -f -a "list" -d 'Prints the dead letters, oldest first'
complete -c logcatch -n "__fish_logcatch_using_subcommand dead-letters; and not __fish_seen_subcommand_from list resend help" -f -a "resend" -d 'Sends dead letters again, each to the topic, with the key and into the partition it had'
complete -c logcatch -n "__fish_logcatch_using_subcommand dead-letters; and not __fish_seen_subcommand_from list resend help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c logcatch -n "__fish_logcatch_using_subcommand dead-letters; and __fish_seen_subcommand_from list" -l log -d 'Only those of this entry' -r
complete -c logcatch -n "__fish_logcatch_using_subcommand dead-letters; and __fish_seen_subcommand_from list" -l path -d 'Only those of this file' -r -F
complete -c logcatch -n "__fish_logcatch_using_subcommand dead-letters; and __fish_seen_subcommand_from list" -l state -d 'The state directory [default: that of the settings]' -r -F
complete -c logcatch -n "__fish_logcatch_using_subcommand dead-letters; and __fish_seen_subcommand_from list" -l config -d 'The settings file [default: $LOGCATCH_CONFIG, else /etc/logcatch/logcatch.toml]' -r -F
complete -c logcatch -n "__fish_logcatch_using_subcommand dead-letters; and __fish_seen_subcommand_from list" -l json -d 'Prints one JSON object a line, as they are kept, with key and line'
complete -c logcatch -n "__fish_logcatch_using_subcommand dead-letters; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c logcatch -n "__fish_logcatch_using_subcommand dead-letters; and __fish_seen_subcommand_from resend" -l log -d 'Only those of this entry' -r
complete -c logcatch -n "__fish_logcatch_using_subcommand dead-letters; and __fish_seen_subcommand_from resend" -l path -d 'Only those of this file' -r -F
complete -c logcatch -n "__fish_logcatch_using_subcommand dead-letters; and __fish_seen_subcommand_from resend" -l state -d 'The state directory [default: that of the settings]' -r -F
complete -c logcatch -n "__fish_logcatch_using_subcommand dead-letters; and __fish_seen_subcommand_from resend" -l topic -d 'Sends them to this topic instead' -r
complete -c logcatch -n "__fish_logcatch_using_subcommand dead-letters; and __fish_seen_subcommand_from resend" -l config -d 'The settings file [default: $LOGCATCH_CONFIG, else /etc/logcatch/logcatch.toml]' -r -F
complete -c logcatch -n "__fish_logcatch_using_subcommand dead-letters; and __fish_seen_subcommand_from resend" -l json -d 'Prints JSON'
complete -c logcatch -n "__fish_logcatch_using_subcommand dead-letters; and __fish_seen_subcommand_from resend" -s h -l help -d 'Print help'
complete -c logcatch -n "__fish_logcatch_using_subcommand dead-letters; and __fish_seen_subcommand_from help" -f -a "list" -d 'Prints the dead letters, oldest first'
complete -c logcatch -n "__fish_logcatch_using_subcommand dead-letters; and __fish_seen_subcommand_from help" -f -a "resend" -d 'Sends dead letters again, each to the topic, with the key and into the partition it had'
complete -c logcatch -n "__fish_logcatch_using_subcommand dead-letters; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c logcatch -n "__fish_logcatch_using_subcommand demo" -l log -d 'A log of your own that is shipped as well; what is appended to it arrives at once' -r -F
complete -c logcatch -n "__fish_logcatch_using_subcommand demo" -l seconds -d 'Ends after so many seconds [default: 60, longer while you press keys]' -r
complete -c logcatch -n "__fish_logcatch_using_subcommand demo" -l keep -d 'Starts and ends a service as standard input says (which is how the demo does it)' -r -F
complete -c logcatch -n "__fish_logcatch_using_subcommand demo" -l config -d 'The settings file [default: $LOGCATCH_CONFIG, else /etc/logcatch/logcatch.toml]' -r -F
complete -c logcatch -n "__fish_logcatch_using_subcommand demo" -s h -l help -d 'Print help'
complete -c logcatch -n "__fish_logcatch_using_subcommand completions" -l config -d 'The settings file [default: $LOGCATCH_CONFIG, else /etc/logcatch/logcatch.toml]' -r -F
complete -c logcatch -n "__fish_logcatch_using_subcommand completions" -s h -l help -d 'Print help'
complete -c logcatch -n "__fish_logcatch_using_subcommand man" -l config -d 'The settings file [default: $LOGCATCH_CONFIG, else /etc/logcatch/logcatch.toml]' -r -F
complete -c logcatch -n "__fish_logcatch_using_subcommand man" -s h -l help -d 'Print help'
complete -c logcatch -n "__fish_logcatch_using_subcommand help; and not __fish_seen_subcommand_from run check settings preview status restart reload plan positions dead-letters demo completions man help" -f -a "run" -d 'Runs the service in the foreground, until SIGTERM or SIGINT'
complete -c logcatch -n "__fish_logcatch_using_subcommand help; and not __fish_seen_subcommand_from run check settings preview status restart reload plan positions dead-letters demo completions man help" -f -a "check" -d 'Says whether the settings are good and what they would ship'
complete -c logcatch -n "__fish_logcatch_using_subcommand help; and not __fish_seen_subcommand_from run check settings preview status restart reload plan positions dead-letters demo completions man help" -f -a "settings" -d 'Prints the settings that apply, and where each comes from; secrets as ***'
complete -c logcatch -n "__fish_logcatch_using_subcommand help; and not __fish_seen_subcommand_from run check settings preview status restart reload plan positions dead-letters demo completions man help" -f -a "preview" -d 'Prints the records that a file would become: no Kafka, no positions'
complete -c logcatch -n "__fish_logcatch_using_subcommand help; and not __fish_seen_subcommand_from run check settings preview status restart reload plan positions dead-letters demo completions man help" -f -a "status" -d 'Says how the running service stands: a verdict, then a row a file, worst first'
complete -c logcatch -n "__fish_logcatch_using_subcommand help; and not __fish_seen_subcommand_from run check settings preview status restart reload plan positions dead-letters demo completions man help" -f -a "restart" -d 'Starts watchers anew, from their saved positions'
complete -c logcatch -n "__fish_logcatch_using_subcommand help; and not __fish_seen_subcommand_from run check settings preview status restart reload plan positions dead-letters demo completions man help" -f -a "reload" -d 'Applies the settings file to the running service now, and says whether it was applied'
complete -c logcatch -n "__fish_logcatch_using_subcommand help; and not __fish_seen_subcommand_from run check settings preview status restart reload plan positions dead-letters demo completions man help" -f -a "plan" -d 'Says what applying the settings file would start, stop and change in the running service'
complete -c logcatch -n "__fish_logcatch_using_subcommand help; and not __fish_seen_subcommand_from run check settings preview status restart reload plan positions dead-letters demo completions man help" -f -a "positions" -d 'Lists or changes how far files are shipped: through the service, or on the store if none runs'
complete -c logcatch -n "__fish_logcatch_using_subcommand help; and not __fish_seen_subcommand_from run check settings preview status restart reload plan positions dead-letters demo completions man help" -f -a "dead-letters" -d 'Lists the lines that Kafka refused for themselves, or sends them again'
complete -c logcatch -n "__fish_logcatch_using_subcommand help; and not __fish_seen_subcommand_from run check settings preview status restart reload plan positions dead-letters demo completions man help" -f -a "demo" -d 'Shows the service at work on rotating logs and a broker in memory, faults included'
complete -c logcatch -n "__fish_logcatch_using_subcommand help; and not __fish_seen_subcommand_from run check settings preview status restart reload plan positions dead-letters demo completions man help" -f -a "completions" -d 'Prints what completes these commands in a shell'
complete -c logcatch -n "__fish_logcatch_using_subcommand help; and not __fish_seen_subcommand_from run check settings preview status restart reload plan positions dead-letters demo completions man help" -f -a "man" -d 'Writes the manual pages of these commands'
complete -c logcatch -n "__fish_logcatch_using_subcommand help; and not __fish_seen_subcommand_from run check settings preview status restart reload plan positions dead-letters demo completions man help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c logcatch -n "__fish_logcatch_using_subcommand help; and __fish_seen_subcommand_from positions" -f -a "list" -d 'Prints every position, rotated files included'
complete -c logcatch -n "__fish_logcatch_using_subcommand help; and __fish_seen_subcommand_from positions" -f -a "set" -d 'Moves the position in the file that is at PATH now'
complete -c logcatch -n "__fish_logcatch_using_subcommand help; and __fish_seen_subcommand_from positions" -f -a "reset" -d 'Forgets positions: what is there is read from its beginning'
complete -c logcatch -n "__fish_logcatch_using_subcommand help; and __fish_seen_subcommand_from dead-letters" -f -a "list" -d 'Prints the dead letters, oldest first'
complete -c logcatch -n "__fish_logcatch_using_subcommand help; and __fish_seen_subcommand_from dead-letters" -f -a "resend" -d 'Sends dead letters again, each to the topic, with the key and into the partition it had'
