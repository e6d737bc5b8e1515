"""Language identifiers on short text: py3langid, which ftcore uses, and lingua if it is installed.

    python benchmarks/language.py --banking77 /path/banking77      also on Banking77's English test rows (test.csv: text)

60 sentences of customers in 12 languages, three to seven words each: small, and enough to see who guesses and who abstains.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Callable
from pathlib import Path

SENTENCES = """\
en|Where is my card?|My order has not arrived yet|Please cancel the subscription|I was charged twice|How do I reset my password
de|Wo ist meine Karte?|Meine Bestellung ist noch nicht da|Bitte kündigen Sie mein Abo|Ich wurde zweimal belastet|Wie setze ich mein Passwort zurück
fr|Où est ma carte ?|Ma commande n'est pas encore arrivée|Veuillez annuler mon abonnement|J'ai été débité deux fois|Comment changer mon mot de passe
es|¿Dónde está mi tarjeta?|Mi pedido no ha llegado todavía|Por favor cancele la suscripción|Me cobraron dos veces|Cómo cambio mi contraseña
it|Dov'è la mia carta?|Il mio ordine non è ancora arrivato|Vorrei disdire l'abbonamento|Mi hanno addebitato due volte|Come cambio la password
pt|Onde está o meu cartão?|A minha encomenda ainda não chegou|Quero cancelar a assinatura|Fui cobrado duas vezes|Como altero a minha senha
nl|Waar is mijn kaart?|Mijn bestelling is nog niet aangekomen|Ik wil mijn abonnement opzeggen|Er is twee keer afgeschreven|Hoe wijzig ik mijn wachtwoord
pl|Gdzie jest moja karta?|Moje zamówienie jeszcze nie dotarło|Proszę anulować subskrypcję|Zostałem obciążony dwa razy|Jak zmienić hasło
ru|Где моя карта?|Мой заказ ещё не пришёл|Прошу отменить подписку|С меня списали деньги дважды|Как сменить пароль
tr|Kartım nerede?|Siparişim henüz gelmedi|Aboneliğimi iptal etmek istiyorum|Benden iki kez ücret alındı|Şifremi nasıl değiştiririm
zh|我的卡在哪里？|我的订单还没有到|请取消我的订阅|我被收了两次费|怎么修改密码
sv|Var är mitt kort?|Min beställning har inte kommit än|Jag vill säga upp prenumerationen|Jag debiterades två gånger|Hur byter jag lösenord
"""  # noqa: E501
Identify = Callable[[str], tuple[str, float]]


def report(name: str, load: Callable[[], Identify], bank: list[str]) -> None:
    started = time.monotonic()
    identify = load()
    identify("hello there")
    print(f"{name}: first answer after {time.monotonic() - started:.1f} s")
    rows = [(line.split("|")[0], text) for line in SENTENCES.splitlines() for text in line.split("|")[1:]]
    judge("sentences", identify, rows)
    if bank:
        judge("banking77", identify, [("en", text) for text in bank])


def judge(name: str, identify: Identify, rows: list[tuple[str, str]]) -> None:
    started = time.monotonic()
    answers = [identify(text) for _, text in rows]
    seconds = time.monotonic() - started
    right = [answer[0] == language for answer, (language, _) in zip(answers, rows, strict=True)]
    sure = [good for good, (_, confidence) in zip(right, answers, strict=True) if confidence >= 0.8]
    print(
        f"  {name:<10} {len(rows)} rows, {len(rows) / seconds:,.0f} a second; right {sum(right) / len(rows):.1%}; at confidence "
        f"0.8 decided {len(sure) / len(rows):.1%}, of these right {sum(sure) / max(1, len(sure)):.1%}"
    )


def py3langid() -> Identify:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    return lambda text: (lambda answer: (answer[0], float(answer[1])))(identifier.classify(text))


def lingua() -> Identify:
    from lingua import LanguageDetectorBuilder

    detector = LanguageDetectorBuilder.from_all_languages().build()

    def identify(text: str) -> tuple[str, float]:
        best = detector.compute_language_confidence_values(text)[0]
        return best.language.iso_code_639_1.name.lower(), best.value

    return identify


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--banking77", type=Path, help="folder with test.csv")
    options = parser.parse_args()
    bank = []
    if options.banking77:
        with (options.banking77 / "test.csv").open(encoding="utf-8", newline="") as file:
            bank = [row["text"] for row in csv.DictReader(file)]
    report("py3langid", py3langid, bank)
    try:
        report("lingua", lingua, bank)
    except ModuleNotFoundError:
        print("lingua: not installed (pip install lingua-language-detector)")


if __name__ == "__main__":
    main()
