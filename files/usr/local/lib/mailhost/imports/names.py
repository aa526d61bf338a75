"""Which folder of this host each folder of the other one becomes."""

from collections.abc import Mapping, Sequence

from mailhost.imports.messages import Folder

#: Names by which servers without special uses (RFC 6154), and their clients, call the folders that have one here. In lower
#: case; Outlook and Exchange make theirs in the user's language.
KNOWN = {
    "Sent": "sent|sent items|sent messages|sent mail|gesendet|gesendete elemente|gesendete objekte|éléments envoyés|envoyés|"
    "messages envoyés|elementos enviados|enviados|posta inviata|inviati|verzonden items|verzonden|itens enviados|wysłane|"
    "elementy wysłane|skickat|sendt|sendte elementer|odeslaná pošta|отправленные",
    "Trash": "trash|deleted items|deleted messages|deleted|bin|papierkorb|gelöschte elemente|gelöschte objekte|corbeille|"
    "éléments supprimés|papelera|elementos eliminados|cestino|posta eliminata|prullenbak|verwijderde items|lixeira|"
    "itens excluídos|itens eliminados|kosz|elementy usunięte|borttaget|slettet post|slettede elementer|koš|"
    "odstraněná pošta|удаленные",
    "Drafts": "drafts|draft|entwürfe|brouillons|borradores|bozze|concepten|rascunhos|szkice|wersje robocze|utkast|kladder|"
    "koncepty|черновики",
    "Junk": "junk|junk e-mail|junk email|junk mail|spam|junk-e-mail|unerwünscht|courrier indésirable|indésirables|"
    "correo no deseado|posta indesiderata|ongewenste e-mail|lixo eletrônico|lixo eletrónico|wiadomości-śmieci|skräppost|"
    "uønsket e-mail|nevyžádaná pošta|спам",
    "Archive": "archive|archives|archiv|archivo|archivio|archief|arquivo|archiwum|arkiv|архив",
}
BY_NAME = {name: target for target, names in KNOWN.items() for name in names.split("|")}
BY_USE = {"\\Archive": "Archive", "\\Drafts": "Drafts", "\\Junk": "Junk", "\\Sent": "Sent", "\\Trash": "Trash"}
#: Views of messages that other folders have.
VIEWS = {"\\Flagged", "\\Important"}
ALL = "\\All"
#: Parts of a name end here.
SEPARATOR = "/"


def targets(folders: Sequence[Folder], given: Mapping[str, str]) -> list[tuple[Folder, str]]:
    """
    The folders to copy with where each goes, in the order in which they are copied: a folder with all messages comes last.

    Raises nothing: a name that cannot be had here is another one, and never one of two.

    given: names here by the names there, of the operator; an empty one leaves the folder out
    """
    used = {folder.use for folder in folders}
    found: list[tuple[Folder, str]] = []
    for folder in folders:
        shown = SEPARATOR.join(folder.parts)
        if shown in given:
            target = given[shown]
        elif folder.use in VIEWS:
            target = ""
        elif folder.use == ALL:
            target = "Archive"
        else:
            target = own_name(folder, used)
        if target:
            found.append((folder, target))
    return sorted(distinct(found, set(given.values())), key=lambda one: (one[0].use == ALL, one[1] != "INBOX"))


def own_name(folder: Folder, used: set[str | None]) -> str:
    if folder.use in BY_USE:
        return BY_USE[folder.use]
    parts = folder.parts
    if len(parts) == 1:
        if parts[0].upper() == "INBOX":
            return "INBOX"
        known = BY_NAME.get(parts[0].lower())
        # Where the server says itself which folder it is, another one is the user's own; the name may be that of ours.
        if known and f"\\{known}" not in used:
            return known
    return SEPARATOR.join(part.replace(SEPARATOR, "_") for part in parts)


def distinct(found: list[tuple[Folder, str]], given: set[str]) -> list[tuple[Folder, str]]:
    """Two folders come together only where that is meant: as they have one use, or by the operator's word."""
    meant = {*BY_USE.values(), "INBOX", *given}
    taken: set[str] = set()
    result = []
    for folder, wanted in found:
        target = wanted
        while target in taken and target not in meant:
            target += "_"
        taken.add(target)
        result.append((folder, target))
    return result
