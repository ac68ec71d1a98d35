# Ends a server whose owner is gone. $1: the server's directory.
# Standard input names the server's process, a line each time it changes; an empty line is none.
# Its end is the owner's end, even by SIGKILL: then kill the server with its children, and
# remove the directory.
trap '' HUP INT QUIT TERM TSTP
dir=${1:?}
leader=
while read -r line; do leader=$line; done

# family: the leader, its group and its descendants, blank on both sides of each.
find_family() {
    family=" $leader "
    found=1
    while [ -n "$found" ]; do
        found=
        for stat in /proc/[0-9]*/stat; do
            { read -r line <"$stat"; } 2>/dev/null || continue
            pid=${line%% *}
            # shellcheck disable=SC2086
            set -- ${line##*) }
            case $1 in Z | X) continue ;; esac
            case $family in *" $pid "*) continue ;; esac
            if [ "$3" != "$leader" ]; then
                case $family in *" $2 "*) ;; *) continue ;; esac
            fi
            family="$family$pid "
            found=1
        done
    done
}

if [ -n "$leader" ]; then
    kill -STOP -- "-$leader"
    find_family
    # shellcheck disable=SC2086
    kill -STOP $family
    find_family
    # shellcheck disable=SC2086
    kill -KILL $family
    kill -KILL -- "-$leader"
fi
# What was killed may still be writing.
for pause in 0.02 0.05 0.1 0.2 0.5 1 2; do
    rm -rf -- "$dir" && exit 0
    sleep "$pause"
done
